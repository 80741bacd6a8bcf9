package main

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tallyman/fetch/sandbox"
)

func TestADMSResultEndsAsItsStatusAndItsZipDeserve(t *testing.T) {
	t.Parallel()
	good := sandbox.Zip(sandbox.ZipEntry{Name: "redo/a.sql", Content: []byte("insert;\n")}, sandbox.ZipEntry{Name: "redo/b.sql", Content: []byte("update;\n")})
	evil := sandbox.Zip(sandbox.ZipEntry{Name: "../../evil.sql", Content: []byte("drop;\n")})
	for _, tt := range []struct {
		name   string
		order  sandbox.Order
		exit   int
		files  string // below data/
		stderr string
	}{
		{"walks through all its statuses and a throttle", sandbox.Order{
			Throttles: 1, Statuses: []string{sandbox.OrderInit, sandbox.OrderListing, sandbox.OrderDownloading, sandbox.OrderSucceeded},
			File: sandbox.File{Name: "11_REDO.zip", Body: good},
		}, 0, "redo/a.sql redo/b.sql", "throttled"},
		{"fails", sandbox.Order{Statuses: []string{sandbox.OrderFailed}, StatusDesc: "log expired"}, 7, "", "job-failed: the job failed: DOWNLOAD_FAIL: log expired"},
		{"is a zip that climbs out", sandbox.Order{File: sandbox.File{Name: "x.zip", Body: evil}}, 4, "", "unsafe-name: .*evil.sql"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cloud, endpoint := newCloud(t)
			tt.order.ID, tt.order.Key, tt.order.Total = 11, "key", new(int64(-1))
			cloud.AddOrder(tt.order)
			top := t.TempDir()
			p := command(t, "fetch", "--poll", "10ms", "--archive", filepath.Join(top, "a", "b", "archive"), "dms://cn-hangzhou/11/key")
			p.Env = append(p.Env, "TALLYMAN_ENDPOINT_DMS="+endpoint, "TALLYMAN_ALLOW_HOST=127.0.0.1")
			p.runs(t, tt.exit)
			matches(t, p.stderr.String(), tt.stderr)
			if got := sqlFiles(t, top); got != tt.files {
				t.Errorf("there are %q, want %q", got, tt.files)
			}
		})
	}
}

// sqlFiles are those anywhere below dir, named from data/ on if they are in a
// bag that landed.
func sqlFiles(t *testing.T, dir string) string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".sql") {
			_, name, _ := strings.Cut(path, "/archive/dms/cn-hangzhou/11/key/data/")
			found = append(found, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(found, " ")
}

func matches(t *testing.T, text, pattern string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(text) {
		t.Errorf("%s\ndoes not match %s", text, pattern)
	}
}
