package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tallyman/fetch/sandbox"
)

const (
	secretRedis = "canary+redis/3="
	secretHook  = "canary+hook/4="
)

// queuedSecrets are what must not be found in a queue either: with the keys of
// a signed URL's query, and the password of Redis.
var queuedSecrets = append([]string{secretRedis, secretHook}, secrets...)

// newSecretQuay has exports that land, and that fail in each way, with secrets
// wherever they may be; and one whose transfer takes until it is hastened.
func newSecretQuay(t *testing.T) (q *cluster, names []string) {
	t.Helper()
	cloud := sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: secretKey, SecurityToken: secretToken})
	for _, test := range secretCases {
		if test.args == nil && test.env == nil && test.name != "nowhere" { // a worker waits for that to pass
			test.job.Name = test.name
			cloud.AddJob(testProject, test.job)
			names = append(names, test.name)
		}
	}
	slow := sandbox.File{Rows: 12000}
	slow.Faults.SlowBytesPerSecond = 20_000
	cloud.AddJob(testProject, sandbox.Job{Name: slowName, File: slow})
	q = newCluster(t, cloud)
	q.redis.Send("CONFIG SET requirepass " + secretRedis)
	q.redis.Password = secretRedis
	q.env = []string{
		"XDG_CONFIG_HOME=" + q.hook.config(t),
		"REDIS_PASSWORD=" + secretRedis,
		"ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + secretKey, "ALIBABA_CLOUD_SECURITY_TOKEN=" + secretToken,
	}
	return q, append(names, slowName)
}

// keepsSecrets looks wherever a queue, its workers and its archive keep
// something.
func (q *cluster) keepsSecrets(t *testing.T) {
	t.Helper()
	q.keepsSecretsBelow(t, slowName)
	for _, args := range [][]string{{"-v"}, {"--json"}} {
		hidden(t, "status", q.status(t, args...), queuedSecrets)
	}
}

func TestNoSecretIsInTheQueueOrWhatItsWorkersSay(t *testing.T) {
	t.Parallel()
	q, names := newSecretQuay(t)
	q.enqueue(t, names...)
	flags := []string{"worker", "-v", "--attempts", "1", "--wait", "2s", "--part-size", "64KiB"}
	var workers []*process
	page := freeAddress(t)
	for _, args := range [][]string{{"--json=false", "--listen", page}, {"--log-format", "json"}} {
		workers = append(workers, q.start(t, append(flags, args...)...))
	}
	want := fmt.Sprintf(`"counts":{"cancelled":0,"failed":%d,"idle":0,"landed":%d,"queued":0,"running":1,"waiting":0}`, len(names)-5, 4)
	waitFor(t, want, func() bool { return strings.Contains(q.status(t, "--json"), want) })
	q.hook.hears(t, "failed: ")
	q.keepsSecrets(t) // in the midst
	for path, shows := range map[string]string{
		"/": slowName, "/coverage?place=" + url.QueryEscape("sls://cn-hangzhou/"+testProject+"/"): "<main>", "/coverage?place=" + url.QueryEscape(secretURL): "Not to be shown", "/exports": "landed", "/exports?text=" + url.QueryEscape(secretURL): "0 exports", "/live": "data: ", "/metrics": "tallyman_", "/readyz": "archive", "/export?ref=" + url.QueryEscape(testRef("landed")): "landed",
		"/export?ref=" + url.QueryEscape(secretURL): "", "/act?verb=retry&phase=failed": "that failed", "/act?verb=cancel&phase=asked": "that wait",
		"/act?verb=retry&ref=" + url.QueryEscape(secretURL): "",
	} {
		text := getText(t, "http://"+page+path)
		if hidden(t, path, text, queuedSecrets); !strings.Contains(text, shows) {
			t.Errorf("%s does not show %s: %s", path, shows, text)
		}
	}
	for _, w := range workers {
		hidden(t, "the command line", cmdline(t, w), queuedSecrets)
	}
	q.cloud.UpdateJob(testProject, slowName, func(j *sandbox.Job) { j.File.Faults.SlowBytesPerSecond = 0 })
	q.landed(t, 5)
	q.tells(t)
	accepted := q.accept(t, page)
	if hidden(t, "what the page has done", accepted, queuedSecrets); !strings.Contains(accepted, "exports accepted") {
		t.Errorf("the page accepts nothing: %s", accepted)
	}
	q.keepsSecrets(t) // at the end
	for _, w := range workers {
		w.Process.Signal(syscall.SIGTERM)
		w.exits(t, 0)
		hidden(t, "stdout", w.stdout.String(), queuedSecrets)
		hidden(t, "stderr", w.stderr.String(), queuedSecrets)
	}
}

func testRef(job string) string { return "sls://cn-hangzhou/" + testProject + "/" + job }

// accept has the page at an address accept all that has failed, and returns what it tells.
func (q *cluster) accept(t *testing.T, address string) string {
	t.Helper()
	form := formOf(getText(t, "http://"+address+"/act?verb=accept&phase=failed"))
	form.Set("reason", "seen, as "+secretKey)
	resp, err := http.PostForm("http://"+address+"/act", form)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// getText returns what a server answers, whatever its status.
func getText(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Content-Type") == "text/event-stream" { // which has no end
		event := make([]byte, 64<<10)
		n, err := io.ReadAtLeast(resp.Body, event, 1)
		if err != nil {
			t.Fatal(err)
		}
		return string(event[:n])
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wherever is each command, and each way not to reach the queue.
func (q *cluster) wherever() []struct{ env, args []string } {
	place, ref := "sls://cn-hangzhou/"+testProject+"/", "sls://cn-hangzhou/"+testProject+"/landed"
	address := strings.TrimPrefix(q.redis.URL, "redis://")
	return []struct{ env, args []string }{
		{nil, []string{"discover", "--json", place}}, {nil, []string{"enqueue", "--json", ref}},
		{nil, []string{"fetch", "--dry-run", "--json", ref + "2"}}, {nil, []string{"retry", "--all", "-v"}}, {nil, []string{"requeue", "-v"}},
		{nil, []string{"cancel", ref + "2"}}, {nil, []string{"verify", "-v"}}, {nil, []string{"verify", "--json"}}, {nil, []string{"help", "worker"}},
		{nil, []string{"coverage", "--json"}}, {nil, []string{"witness", "--dry-run", place}}, {nil, []string{"ensure", "--logstore", "l", "--since", "2h", "--dry-run", place}},
		{nil, []string{"doctor", "--json"}}, {nil, []string{"config", "show", "--json"}}, {nil, []string{"explain", ref}},
		{nil, []string{"deploy", "compose"}}, {nil, []string{"deploy", "kubernetes"}}, {nil, []string{"deploy", "systemd"}}, {nil, []string{"metrics", "rules"}}, {nil, []string{"notify", "test", "-v"}},
		{nil, []string{"worker", "--help"}}, {nil, []string{"__complete", "worker", "--redis", ""}}, {nil, []string{"--version"}}, {nil, []string{"no-such-command", secretURL}},
		{nil, []string{"worker", "--redis", "redis://:" + secretRedis + "@" + address}}, {nil, []string{"status", "--redis-password", secretRedis}},
		{[]string{"REDIS_PASSWORD=" + secretRedis + "2", "REDIS_URL=" + q.redis.URL + "?max_retries=-1"}, []string{"status"}},
		{[]string{"REDIS_PASSWORD=", "REDIS_URL=redis://:canary%2Bredis%2F3%3D@127.0.0.1:1?max_retries=-1"}, []string{"worker", "-v"}},
		{[]string{"REDIS_PASSWORD=", "REDIS_URL=redis://:" + secretRedis + "@" + address}, []string{"worker", "-v"}}, // not well formed
		{[]string{"REDIS_PASSWORD=", "REDIS_URL=rediss://:canary%2Bredis%2F3%3D@" + strings.TrimPrefix(q.endpoint, "http://") + "?max_retries=-1"}, []string{"requeue", "-v"}},
		{[]string{"REDIS_PASSWORD=", "REDIS_URL=redis://:canary%2Bredis%2F3%3D@" + address + "/x"}, []string{"status", "-v"}},
		{[]string{"DEBUG=tea,dara"}, []string{"fetch", ref + "2"}}, {[]string{"GODEBUG=http2debug=2"}, []string{"discover", place}},
		{[]string{"ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + secretKey + "2", "GOTRACEBACK=crash"}, []string{"discover", place}},
		{[]string{"TALLYMAN_PART_SIZE=" + secretURL}, []string{"fetch", ref + "2"}},
	}
}

func TestNoCommandSaysASecret(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	q, _ := newSecretQuay(t)
	q.enqueue(t, "landed", "failed")
	for _, at := range q.wherever() {
		p := q.command(t, at.args...)
		p.Env = append(p.Env, at.env...)
		p.start(t)
		p.Wait()
		hidden(t, p.String()+": stdout", p.stdout.String(), queuedSecrets)
		hidden(t, p.String()+": stderr", p.stderr.String(), queuedSecrets)
		if p.stdout.Len() == 0 && p.stderr.String() == "" && at.args[0] != "requeue" && at.args[0] != "verify" {
			t.Errorf("%s says nothing", p)
		}
	}
	q.keepsSecretsBelow(t, "failed")
	q.bundles(t, testRef("landed"), testRef("failed"))
}

// bundles looks into what explain packs for others.
func (q *cluster) bundles(t *testing.T, refs ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ticket.tar.gz")
	q.command(t, append([]string{"explain", "--bundle", path}, refs...)...).runs(t, 0)
	packed, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unzipped, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(unzipped)
	if err != nil || !strings.Contains(string(text), refs[0]) {
		t.Fatalf("the bundle holds nothing of %s: %v", refs[0], err)
	}
	hidden(t, "a bundle", string(text), queuedSecrets)
}

// keepsSecretsBelow looks at all that is on a disk, where the queue holds an
// export of that name.
func (q *cluster) keepsSecretsBelow(t *testing.T, name string) {
	t.Helper()
	memory, err := q.redis.Memory()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(memory, "/"+name) {
		t.Error("the queue does not hold what was enqueued")
	}
	hidden(t, "redis", memory, queuedSecrets)
	hiddenBelow(t, q.archive, queuedSecrets)
}

// tells has status tell of a job that failed: the cause, the vendor's message
// and what to do.
func (q *cluster) tells(t *testing.T) {
	t.Helper()
	for _, line := range []string{
		"failed    sls://cn-hangzhou/" + testProject + "/failed  job-failed: the job failed: ERROR: can't write to https://example.com/file?OSSAccessKeyId",
		"          tallyman retry sls://cn-hangzhou/" + testProject + "/failed   # export it anew",
	} {
		if said := q.status(t, "sls://cn-hangzhou/"+testProject+"/failed"); !strings.Contains(said, line) {
			t.Errorf("status says %s, want %s", said, line)
		}
	}
}

// cmdline is what whoever lists the processes sees.
func cmdline(t *testing.T, p *process) string {
	t.Helper()
	if _, err := os.Stat("/proc/self/cmdline"); err != nil {
		return ""
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.Process.Pid))
	if err != nil || !strings.Contains(string(b), "worker") {
		t.Fatalf("%q, %v", b, err)
	}
	return string(b)
}
