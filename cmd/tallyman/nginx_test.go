package main

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc64"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
)

// A storedFile is one that nginx serves, and what it says of it.
type storedFile struct {
	Name, Directives string
	Body             []byte
}

func (f storedFile) MD5() string   { return fmt.Sprintf("%x", md5.Sum(f.Body)) }
func (f storedFile) ETag() string  { return fmt.Sprintf("%X", md5.Sum(f.Body)) }
func (f storedFile) CRC64() uint64 { return crc64.Checksum(f.Body, crc64.MakeTable(crc64.ECMA)) }
func (f storedFile) Content() string {
	b := md5.Sum(f.Body)
	return base64.StdEncoding.EncodeToString(b[:])
}

const (
	ownETag   = `etag off; add_header ETag '"{{.ETag}}"' always;`
	ossHeader = `add_header x-oss-hash-crc64ecma {{.CRC64}} always; add_header Content-MD5 {{.Content}} always;
		add_header x-oss-object-type Normal always; add_header x-oss-request-id 5C06A3B67B8B5A3DA422299D always;`
)

func storedFiles() []storedFile {
	csv, lines := sandbox.Generate(20000, "csv", 1), sandbox.Generate(20000, "json", 1)
	return []storedFile{
		{"plain.csv", ossHeader, csv},
		{"bare.csv", "", csv},
		{"etag.csv", ownETag + ossHeader, csv},
		{"norange.csv.zst", "max_ranges 0;" + ossHeader, sandbox.Compress("zstd", csv)},
		{"stored.csv.gz", "add_header Content-Encoding gzip always;" + ossHeader, sandbox.Compress("gzip", csv)},
		{"lines.json", ossHeader, lines},
		{"empty.csv", ownETag + ossHeader, []byte{}},
	}
}

const nginxConf = `daemon off; worker_processes 1; pid {{.Dir}}/pid; error_log {{.Dir}}/error.log;
events { worker_connections 64; }
http {
	access_log off;
	types { application/json json; text/csv csv; }
	client_body_temp_path {{.Dir}}/t1; proxy_temp_path {{.Dir}}/t2; fastcgi_temp_path {{.Dir}}/t3; uwsgi_temp_path {{.Dir}}/t4; scgi_temp_path {{.Dir}}/t5;
	gzip on; gzip_types application/json; gzip_min_length 1024; gzip_proxied any;
	server {
		listen {{.Address}};
		root {{.Dir}}/root;
		{{range .Files}}location = /bkt/{{.Name}} { {{.Header}} }
		{{end}}
	}
}
`

// startNginx serves the files, and returns the URL of their directory and the
// directory itself.
func startNginx(t *testing.T, files []storedFile) (url, root string) {
	t.Helper()
	path := nginxPath(t)
	dir := t.TempDir()
	root = filepath.Join(dir, "root", "bkt")
	address := freeAddress(t)
	if err := errors.Join(os.MkdirAll(root, 0o755), os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(root, f.Name), f.Body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, configure(t, dir, address, files), 0o644); err != nil {
		t.Fatal(err)
	}
	serveUntilDone(t, exec.CommandContext(t.Context(), path, "-p", dir, "-e", filepath.Join(dir, "error.log"), "-c", conf), address)
	return "http://" + address + "/bkt/", root
}

func nginxPath(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if fetchtest.Required("nginx") || fetchtest.Required("memory") {
		t.Fatal("there is no nginx, and TALLYMAN_REQUIRE asks for it")
	}
	t.Skip("there is no nginx")
	return ""
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func configure(t *testing.T, dir, address string, files []storedFile) []byte {
	t.Helper()
	type location struct{ Name, Header string }
	data := struct {
		Dir, Address string
		Files        []location
	}{dir, address, nil}
	for _, f := range files {
		data.Files = append(data.Files, location{f.Name, string(fill(t, f.Directives, f))})
	}
	return fill(t, nginxConf, data)
}

func fill(t *testing.T, text string, data any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := template.Must(template.New("").Parse(text)).Execute(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// serveUntilDone starts a server, and ends it in order when the test is over.
func serveUntilDone(t *testing.T, cmd *exec.Cmd, address string) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); <-ended })
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v: %s", cmd.Path, err, &said)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestNginxServesWhatLands(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	files := storedFiles()
	url, _ := startNginx(t, files)
	for _, f := range files {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			records := 20000
			if len(f.Body) == 0 {
				records = 0
			}
			archive := t.TempDir()
			ref := fmt.Sprintf("%s%s#md5=%s&crc64=%d&size=%d&records=%d", url, f.Name, f.MD5(), f.CRC64(), len(f.Body), records)
			fetchURL(t, archive, ref).runs(t, 0)
			command(t, "verify", "--archive", archive, ref).runs(t, 0)
			other := t.TempDir()
			fetchURL(t, other, url+f.Name+"#md5="+f.MD5()).runs(t, 0)
			fetchURL(t, other, url+f.Name+"x").runs(t, 7)
			fetchURL(t, t.TempDir(), url+f.Name+"#md5=00000000000000000000000000000000").runs(t, 4)
		})
	}
}

func fetchURL(t *testing.T, archive, ref string) *process {
	return command(t, "fetch", "--archive", archive, "--allow-host", "127.0.0.1", "--attempts", "1", "--part-size", "64KiB", ref)
}

func TestNginxServesATruncatedFileThatIsRefused(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	files := storedFiles()[:2]
	url, root := startNginx(t, files)
	for _, f := range files {
		if err := os.Truncate(filepath.Join(root, f.Name), int64(len(f.Body))-1); err != nil {
			t.Fatal(err)
		}
		for promise, cause := range map[string]string{fmt.Sprintf("size=%d", len(f.Body)): "truncated", "md5=" + f.MD5(): "checksum-mismatch"} {
			archive := t.TempDir()
			p := fetchURL(t, archive, url+f.Name+"#"+promise)
			p.runs(t, 4)
			if !strings.Contains(p.stderr.String(), ": "+cause+": ") {
				t.Errorf("%s, %s: it said %s", f.Name, promise, &p.stderr)
			}
			if _, err := os.Stat(filepath.Join(archive, "http")); err == nil {
				t.Errorf("%s, %s: it landed", f.Name, promise)
			}
		}
	}
}
