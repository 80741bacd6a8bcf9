package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"tallyman/cmd/tallyman/internal/doctor"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
)

// A patient is a system that doctor looks at, in which a test plants a fault.
type patient struct {
	t     *testing.T
	home  string
	args  []string
	redis *miniredis.Miniredis
	info  map[string]string // what its INFO says
}

// newPatient is a system in which all is well.
func newPatient(t *testing.T, endpoint string) *patient {
	p := &patient{t: t, home: t.TempDir(), redis: miniredis.RunT(t), info: map[string]string{
		"redis_version": "7.0.15", "run_id": "1", "maxmemory_policy": "noeviction", "aof_enabled": "1", "used_memory": "1000", "maxmemory": "1000000",
	}}
	for name, value := range environment(p.home) {
		t.Setenv(name, value)
	}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "SSL_CERT_FILE", "REDIS_PASSWORD"} {
		t.Setenv(name, "")
	}
	t.Setenv("TALLYMAN_ENDPOINT_SLS", endpoint)
	t.Setenv("REDIS_URL", "redis://"+p.redis.Addr()+"?max_retries=-1")
	t.Setenv("TALLYMAN_ARCHIVE", filepath.Join(p.home, "archive"))
	p.redis.Server().SetPreHook(func(c *server.Peer, command string, _ ...string) bool {
		if command != "INFO" {
			return false
		}
		var said strings.Builder
		for name, value := range p.info {
			said.WriteString(name + ":" + value + "\r\n")
		}
		c.WriteBulk(said.String())
		return true
	})
	return p
}

func (p *patient) write(path, text string, mode os.FileMode) {
	p.t.Helper()
	path = filepath.Join(p.home, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := cmp.Or(os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil { // whatever the umask
		p.t.Fatal(err)
	}
}

func (p *patient) makeArchive() (id string) {
	p.t.Helper()
	store, err := archive.Open(filepath.Join(p.home, "archive"), "", archive.SiteAbsent)
	if err != nil {
		p.t.Fatal(err)
	}
	return store.ID()
}

// clock is a service whose clock is off.
func (p *patient) clock(off time.Duration) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(off).UTC().Format(http.TimeFormat))
	}))
	p.t.Cleanup(service.Close)
	p.t.Setenv("TALLYMAN_ENDPOINT_SLS", service.URL)
}

const nowhere = "http://127.0.0.1:1"

// planted are each a fault, and the check that is to find it.
var planted = []struct {
	name, check string
	state       doctor.State
	says        string // in the message or the advice
	plant       func(p *patient)
}{
	{"a misspelled variable", "settings", doctor.Fail, "did you mean TALLYMAN_PART_SIZE", func(p *patient) { p.t.Setenv("TALLYMAN_PARTSIZE", "4MiB") }},
	{"a setting out of range", "settings", doctor.Fail, "--parallel 0", func(p *patient) { p.args = []string{"--parallel", "0"} }},
	{"a misspelled line of the file", "settings", doctor.Fail, "config.yaml:2:1", func(p *patient) { p.write(".config/tallyman/config.yaml", "keep: wire\npart-sise: 3\n", 0o644) }},
	{"a place that nothing matches", "settings", doctor.Warn, "config.yaml:1:", func(p *patient) {
		p.write(".config/tallyman/config.yaml", "places: [{match: 'dbs://cn-hangzhou/a/b/c/', profile: b}]\n", 0o644)
	}},
	{"half a key of Alibaba's", "credentials.environment", doctor.Fail, "ALIBABA_CLOUD_ACCESS_KEY_SECRET is not", func(p *patient) { p.t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "") }},
	{"half a key of Huawei's", "credentials.environment", doctor.Fail, "HUAWEICLOUD_SDK_AK is not", func(p *patient) { p.t.Setenv("HUAWEICLOUD_SDK_SK", "canary-of-doctor") }},
	{"no keys for a place", "credentials.huawei", doctor.Fail, "HUAWEICLOUD_SDK_AK", func(p *patient) {
		p.t.Setenv("TALLYMAN_ENDPOINT_DIS", nowhere)
		p.args = []string{"dis://cn-north-4/task/"}
	}},
	{"a profile that is not there", "credentials.alibaba.team", doctor.Fail, "aliyun configure --profile team", func(p *patient) {
		p.write(".config/tallyman/config.yaml", "places: [{match: 'sls://cn-hangzhou/', profile: team}]\n", 0o644)
	}},
	{"keys that others can read", "credentials.file", doctor.Warn, "chmod 600", func(p *patient) {
		p.write(".huaweicloud/credentials", "[default]\nak = a\nsk = canary-of-doctor\n", 0o644)
	}},
	{"keys that others can change", "credentials.file", doctor.Warn, "by others, or changed (mode 0620)", func(p *patient) {
		p.write(".huaweicloud/credentials", "[default]\nak = a\nsk = canary-of-doctor\n", 0o620)
	}},
	{"a clock that is 20 minutes off", "clock", doctor.Fail, "20m", func(p *patient) { p.clock(-20 * time.Minute) }},
	{"a clock that is a minute off", "clock", doctor.Warn, "behind", func(p *patient) { p.clock(time.Minute) }},
	{"a service that can't be reached", "endpoint", doctor.Fail, "connection refused", func(p *patient) { p.t.Setenv("TALLYMAN_ENDPOINT_SLS", nowhere) }},
	{"a place that is not there", "place", doctor.Fail, "ProjectNotExist", func(p *patient) { p.args = []string{"sls://cn-hangzhou/no-such-project/"} }},
	{"a wrong key", "place", doctor.Fail, "SignatureNotMatch", func(p *patient) {
		p.t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "canary-of-doctor")
		p.args = []string{"sls://cn-hangzhou/" + testProject + "/"}
	}},
	{"a proxy that can't be read", "proxy", doctor.Fail, "HTTPS_PROXY is not the URL of a proxy", func(p *patient) { p.t.Setenv("HTTPS_PROXY", "ftp://user:canary-of-doctor@h") }},
	{"a proxy that is away", "proxy", doctor.Fail, "connection refused", func(p *patient) { p.t.Setenv("HTTPS_PROXY", nowhere) }},
	{"authorities that are not there", "tls", doctor.Fail, "SSL_CERT_FILE", func(p *patient) { p.t.Setenv("SSL_CERT_FILE", filepath.Join(p.home, "none.pem")) }},
	{"a Redis that is away", "redis", doctor.Fail, "see that Redis runs", func(p *patient) { p.redis.Close() }},
	{"a Redis that wants a password", "redis", doctor.Fail, "--redis-password-file", func(p *patient) { p.redis.RequireAuth("canary-of-doctor") }},
	{"an old Redis", "redis.version", doctor.Fail, "6.0.9", func(p *patient) { p.info["redis_version"] = "6.0.9" }},
	{"a Redis that evicts", "redis.policy", doctor.Fail, "allkeys-lru", func(p *patient) { p.info["maxmemory_policy"] = "allkeys-lru" }},
	{"a replica", "redis.role", doctor.Fail, "master_name", func(p *patient) { p.info["role"] = "slave" }},
	{"a Redis without an append-only file", "redis.persistence", doctor.Warn, "appendonly yes", func(p *patient) { p.info["aof_enabled"] = "0" }},
	{"a Redis whose disk is full", "redis.persistence", doctor.Fail, "last write", func(p *patient) { p.info["aof_last_write_status"] = "err" }},
	{"a Redis whose memory is full", "redis.memory", doctor.Warn, "maxmemory", func(p *patient) { p.info["used_memory"] = "950000" }},
	{"a Redis of another archive", "redis.archive", doctor.Fail, "another archive", func(p *patient) {
		p.makeArchive()
		p.redis.Set("tallyman:archive", strings.Repeat("0", 32))
	}},
	{"an archive whose disk is not mounted", "archive", doctor.Fail, "is an empty directory", func(p *patient) { p.write("archive/lost+found/.keep", "", 0o644) }},
	{"an archive with another ID", "archive", doctor.Fail, "another archive", func(p *patient) {
		p.makeArchive()
		p.args = []string{"--archive-id", strings.Repeat("0", 32)}
	}},
	{"an archive that can't be written to", "archive.write", doctor.Fail, "may write there", func(p *patient) {
		p.makeArchive()
		if err := os.Remove(filepath.Join(p.home, "archive", ".ingest")); err != nil {
			p.t.Fatal(err)
		}
		p.write("archive/.ingest", "", 0o644) // which root could else
	}},
	{"a URL to notify that is not there", "notify.slack", doctor.Fail, "tallyman notify test slack", func(p *patient) {
		p.write(".config/tallyman/config.yaml", "notify: [{by: slack, url-file: /no/such/file}]\n", 0o644)
	}},
	{"a URL to notify that is none", "notify.ops", doctor.Fail, "holds no URL", func(p *patient) {
		p.write("url", "canary-of-doctor", 0o600)
		p.write(".config/tallyman/config.yaml", "notify: [{by: ping, name: ops, url-file: "+filepath.Join(p.home, "url")+"}]\n", 0o644)
	}},
	{"rechecks that are too slow", "recheck", doctor.Warn, "within 60 days", func(p *patient) {
		p.write(".config/tallyman/config.yaml", "recheck: {every: 60d}\n", 0o644)
	}},
	{"too many requests for the open files", "limits.files", doctor.Fail, "ulimit -n", func(p *patient) { p.args = []string{"--parallel", "5000"} }},
}

// following are the checks that fail, too, for what was planted.
var following = map[string]string{"a place that nothing matches": "credentials.alibaba.b", "no keys for a place": "place", "a proxy that can't be read": "settings"}

// findings are what doctor finds, and its exit code.
func (p *patient) findings() (all []doctor.Finding, code int) {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(append([]string{"doctor", "--json"}, p.args...), &stdout, &stderr)
	hidden(p.t, "stdout", stdout.String(), []string{"canary-of-doctor"})
	hidden(p.t, "stderr", stderr.String(), []string{"canary-of-doctor"})
	for line := range strings.Lines(stdout.String()) {
		var f doctor.Finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			p.t.Fatalf("%v: %s", err, line)
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		p.t.Fatalf("it finds nothing: %s", &stderr)
	}
	return all, code
}

// Each fault is found by the check for it, which says what it is or what to do, and no check
// blames anything else.
func TestDoctorFindsEachFault(t *testing.T) {
	cloud := sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret})
	cloud.AddJob(testProject, sandbox.Job{Name: "nightly", File: sandbox.File{Rows: 1}})
	endpoint, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for _, fault := range planted {
		t.Run(fault.name, func(t *testing.T) {
			p := newPatient(t, endpoint)
			fault.plant(p)
			found := false
			all, code := p.findings()
			for _, f := range all {
				if isIt := f.Check == fault.check && f.State == fault.state && strings.Contains(f.Message+f.Advice, fault.says); isIt {
					found = true
				} else if f.State == doctor.Fail && f.Check != following[fault.name] {
					t.Errorf("another check fails: %+v", f)
				}
			}
			if want := map[doctor.State]int{doctor.Fail: 1}[fault.state]; !found || code < want {
				t.Errorf("exit code %d; not found in %+v", code, all)
			}
		})
	}
	t.Run("none", func(t *testing.T) {
		p := newPatient(t, endpoint)
		p.makeArchive()
		p.args = []string{"sls://cn-hangzhou/" + testProject + "/"}
		all, code := p.findings()
		for _, f := range all {
			if f.State != doctor.OK {
				t.Errorf("%+v", f)
			}
		}
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
}
