package main

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch/sandbox"
)

func TestObjectsUnderAPrefixLandInOneBagUnderTheirOwnNames(t *testing.T) {
	t.Parallel()
	cloud, endpoint := newCloud(t)
	cloud.AddBucket("exports", sandbox.Bucket{PageSize: 2})
	for key, file := range map[string]sandbox.File{
		"e/a.csv.zst":       {Rows: 100, Format: "csv", Codec: "zstd"},
		"e/b+c d.zip":       {Body: sandbox.Zip(sandbox.ZipEntry{Name: "x/one.csv", Content: []byte("h\n1\n")}, sandbox.ZipEntry{Name: "100%.csv", Content: []byte("h\n2\n")})},
		"e/deep/c.json.gz":  {Rows: 50, Format: "json", Codec: "gzip"},
		"e/":                {Body: []byte{}},
		"elsewhere/not.csv": {Rows: 1, Format: "csv"},
	} {
		cloud.AddObject("exports", key, file)
	}
	archive := filepath.Join(t.TempDir(), "archive")
	p := command(t, "fetch", "--archive", archive, "oss://exports/e/")
	p.Env = append(p.Env, "TALLYMAN_ENDPOINT_OSS="+endpoint)
	p.runs(t, 0)
	const want = "a.csv b+c d.zip/100_25.csv b+c d.zip/x/one.csv deep/c.json"
	if got := filesBelow(t, filepath.Join(archive, "oss", "exports", "e%2F", "data")); got != want {
		t.Errorf("the bag holds %q, want %q", got, want)
	}
	command(t, "verify", "--archive", archive).runs(t, 0)
}

func filesBelow(t *testing.T, dir string) string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(found, " ")
}
