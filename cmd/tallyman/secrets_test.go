package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch/sandbox"
)

// What must never be seen or kept, with bytes that are escaped in many ways. An
// access key's ID is no secret by itself, but is one of a signed URL. The last
// are of every signed URL.
const (
	secretKey   = "canary+secret/1="
	secretToken = "canary+token/2=="
	secretProxy = "canary-proxy"
	secretURL   = "https://example.com/file?OSSAccessKeyId=canary-id&Expires=1&Signature=canary-sealed-7"
)

var secrets = []string{
	secretKey, secretToken, secretProxy, "canary-id", "canary-sealed-7",
	"SANDBOXSTORE", "Signature=", "Signature%3D", "Expires=", "Signature\\u003d",
}

// secretCases are a success and each kind of failure.
var secretCases = []struct {
	name string
	job  sandbox.Job
	env  []string
	args []string // instead of the job
	exit int
}{
	{name: "landed"},
	{name: "mismatch", job: withFaults(sandbox.Faults{Flip: sandbox.Flip{At: 99, Times: -1}}), exit: 4},
	{name: "cut", job: withFaults(sandbox.Faults{Cut: sandbox.Cut{Times: -1}}), exit: 5},
	{name: "busy", job: withFaults(sandbox.Faults{Busy: 1})},
	{name: "expiring", job: withFaults(sandbox.Faults{ExpireAfter: sandbox.Expiry{Bytes: 1}})},
	{name: "changed", job: withFaults(sandbox.Faults{Replace: sandbox.Replacement{Body: []byte("another")}}), exit: 4},
	{name: "corrupt", job: sandbox.Job{File: sandbox.File{Body: []byte("\x28\xb5\x2f\xfd" + secretURL)}}, exit: 4},
	{name: "gone", job: sandbox.Job{File: sandbox.File{Rows: 10, Gone: true}}, exit: 7},
	{name: "failed", job: sandbox.Job{Statuses: []string{sandbox.JobFailed}, Error: "can't write to " + secretURL}, exit: 7},
	{name: "not-ready", job: sandbox.Job{Statuses: []string{sandbox.JobRunning}}, exit: 8},
	{name: "unknown-status", job: sandbox.Job{Statuses: []string{secretURL}}, exit: 8},
	{name: "noticed", job: sandbox.Job{Notice: "see " + secretURL, File: sandbox.File{Rows: 10}}, exit: 9},
	{name: "elsewhere", job: sandbox.Job{FilePath: secretURL}, exit: 4},
	{name: "nowhere", job: sandbox.Job{FilePath: "http://127.0.0.1:1/file?Signature=canary-sealed-7"}, exit: 5},
	{name: "denied", env: []string{"ALIBABA_CLOUD_ACCESS_KEY_SECRET=" + secretKey + "2"}, exit: 6},
	{name: "wrong-token", env: []string{"ALIBABA_CLOUD_SECURITY_TOKEN=" + secretToken + "2"}, exit: 6},
	{name: "malformed", job: sandbox.Job{FilePath: "https://example.com:port/file?Signature=canary-sealed-7"}, exit: 7},
	{name: "userinfo", job: sandbox.Job{FilePath: "https://user:canary-sealed-7@example.com/file"}, exit: 4},
	{name: "escaped", job: sandbox.Job{Statuses: []string{sandbox.JobFailed}, Error: "said " + url.QueryEscape(url.QueryEscape(secretURL)) +
		" and Authorization: LOG id:canary-sealed-7"}, exit: 7},
	{name: "quoting-keys", job: sandbox.Job{Statuses: []string{sandbox.JobFailed}, Error: secretKey + ` "` + url.QueryEscape(secretToken) + `" ` +
		base64.StdEncoding.EncodeToString([]byte("id:"+secretKey))}, exit: 7},
	{name: "bad-proxy", args: []string{"https://example.com/file?Signature=canary-sealed-7#size=1"}, env: []string{"HTTPS_PROXY=http://user:" + secretProxy + "@127.0.0.1:port"}, exit: 2},
	{name: "bare-proxy", args: []string{"https://example.com/file?Signature=canary-sealed-7#size=1"}, env: []string{"HTTPS_PROXY=user:" + secretProxy + "@[::1"}, exit: 2},
	{name: "by-proxy", args: []string{"https://example.com/file?Signature=canary-sealed-7#size=1"}, exit: 5},
	{name: "api-by-proxy", env: []string{"TALLYMAN_ENDPOINT_SLS="}, exit: 5},
	{name: "bad-reference", args: []string{secretURL + "#nonsense"}, exit: 2},
	{name: "bad-scheme", args: []string{"x" + secretURL}, exit: 2},
	{name: "bad-flag", args: []string{"--part-size", secretURL, "sls://r/p/j"}, exit: 2},
	{name: "bad-endpoint", args: []string{"--endpoint", "sls=http://user:canary-secret@127.0.0.1", "sls://r/p/j"}, exit: 2},
}

func withFaults(f sandbox.Faults) sandbox.Job {
	return sandbox.Job{File: sandbox.File{Rows: 100, Codec: "gzip", Faults: f}}
}

func TestNoSecretIsShownOrKept(t *testing.T) {
	t.Parallel()
	startsManyProcesses(t)
	cloud := sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: secretKey, SecurityToken: secretToken})
	endpoint, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for _, test := range secretCases {
		test.job.Name = test.name
		cloud.AddJob(testProject, test.job)
		if test.args == nil {
			test.args = []string{"sls://cn-hangzhou/" + testProject + "/" + test.name}
		}
		t.Run(test.name, func(t *testing.T) { keepsSecrets(t, endpoint, test.env, test.args, test.exit, secrets) })
	}
	t.Run("signed-url", func(t *testing.T) {
		address := cloud.JobURL(endpoint, testProject, "landed")
		keepsSecrets(t, endpoint, nil, []string{address}, 0, append(signatureOf(t, address), secrets...))
	})
	t.Run("signed-url-mismatch", func(t *testing.T) {
		address := cloud.JobURL(endpoint, testProject, "mismatch")
		keepsSecrets(t, endpoint, nil, []string{address}, 4, append(signatureOf(t, address), secrets...))
	})
}

func signatureOf(t *testing.T, address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	signature := u.Query().Get("Signature")
	return []string{signature, url.QueryEscape(signature)}
}

// keepsSecrets fetches with all that there is to say, and looks for secrets in
// what was said and kept.
func keepsSecrets(t *testing.T, endpoint string, env, args []string, exit int, secrets []string) {
	t.Parallel()
	archive := filepath.Join(t.TempDir(), "archive")
	for _, format := range [][]string{{"-v"}, {"-v", "--json"}} {
		p := command(t, append(append([]string{"fetch", "--archive", archive, "--attempts", "1", "--wait", "20ms"}, format...), args...)...)
		p.Env = append(p.Env,
			"ALIBABA_CLOUD_ACCESS_KEY_SECRET="+secretKey, "ALIBABA_CLOUD_SECURITY_TOKEN="+secretToken,
			"HTTPS_PROXY=http://user:"+secretProxy+"@127.0.0.1:1",
			"TALLYMAN_ENDPOINT_SLS="+endpoint, "TALLYMAN_ALLOW_HOST=127.0.0.1")
		p.Env = append(p.Env, env...)
		p.runs(t, exit)
		hidden(t, "stdout", p.stdout.String(), secrets)
		hidden(t, "stderr", p.stderr.String(), secrets)
		hiddenBelow(t, archive, secrets)
	}
}

func hidden(t *testing.T, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		for _, form := range formsOf(secret) {
			if strings.Contains(text, form) {
				t.Errorf("%s shows %s, as %s: %q", where, secret, form, text)
			}
		}
	}
}

// formsOf are those in which a secret may be quoted, and the end of one that
// was cut.
func formsOf(secret string) []string {
	once := url.QueryEscape(secret)
	inJSON, _ := json.Marshal(secret)
	forms := []string{secret, once, url.QueryEscape(once), strings.Trim(string(inJSON), `"`), strings.ReplaceAll(secret, "/", `\/`), html.EscapeString(secret)}
	if !strings.HasPrefix(secret, "canary") {
		return forms
	}
	forms = append(forms, secret[len(secret)-8:], fmt.Sprintf("%x", secret))
	for before, mixed := range []int{0, 2, 3} {
		text := base64.RawStdEncoding.EncodeToString([]byte("abc"[:before] + secret))
		forms = append(forms, text[mixed:len(text)-2])
	}
	return forms
}

// hiddenBelow looks at each file but the parts of content, which are what was
// exported.
func hiddenBelow(t *testing.T, dir string, secrets []string) {
	t.Helper()
	if _, err := os.Stat(dir); err != nil {
		return // it was not even made
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, ".wire") {
			return err
		}
		text, err := os.ReadFile(path)
		hidden(t, path, path+"\n"+string(text), secrets)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
