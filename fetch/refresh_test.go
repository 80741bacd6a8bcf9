package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/sandbox"
	"tallyman/fetch/sls"
	"tallyman/fetch/web"
)

const (
	project = "ali-test-project"
	jobName = "download-123"
)

// canary is a secret in the query of each URL that the cloud signs.
const canary = "SANDBOXSTORE"

// A cloudFetcher fetches the file of one job of a sandbox.
type cloudFetcher struct {
	*fetch.Fetcher
	cloud *sandbox.Cloud
	ref   fetch.Ref
	wire  []byte
	rows  []byte

	mu         sync.Mutex
	notes      []string
	refreshing func() // called before a URL is refreshed
}

func newCloudFetcher(t *testing.T, faults sandbox.Faults, lifetime time.Duration) *cloudFetcher {
	t.Helper()
	c := &cloudFetcher{rows: csv(3000), ref: parseRef(t, "sls://cn-hangzhou/"+project+"/"+jobName)}
	c.wire = encode(t, "zstd", c.rows)
	c.cloud = sandbox.New(sandbox.Options{AccessKeyID: "id", AccessKeySecret: "secret", URLLifetime: lifetime})
	c.cloud.AddJob(project, sandbox.Job{Name: jobName, File: sandbox.File{
		Name: "export.csv.zst", Body: c.wire, Rows: bytes.Count(c.rows, []byte("\n")) - 31, Faults: faults}})
	base, stop, err := c.cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	f, _ := newFetcher(t, t.TempDir())
	client := f.Providers["https"].(*web.Provider).Client
	hosts := &hostguard.Policy{Allow: []string{"127.0.0.1"}}
	f.Providers["sls"] = &sls.Provider{
		Client: client, Endpoint: base, Keys: sls.StaticKeys("id", "secret", ""),
		Open: func(rawURL string) (fetch.Source, error) { return web.Open(client, hosts, rawURL) },
	}
	f.PartSize = int64(len(c.wire)/40 + 1)
	f.Progress = c.progress
	c.Fetcher = f
	return c
}

func (c *cloudFetcher) progress(p fetch.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.Note != "" {
		c.notes = append(c.notes, p.Note)
	}
	if strings.Contains(p.Note, "expired") && c.refreshing != nil {
		c.refreshing()
	}
}

// served returns how many bytes of the file were sent, and how often the job was
// asked.
func (c *cloudFetcher) served() (bytes int64, gets int) {
	n := c.cloud.Counts().Jobs[project+"/"+jobName]
	return n.Bytes, n.StatusCalls
}

// checkSecret checks that the canary is in no note, in no file and not in err.
func (c *cloudFetcher) checkSecret(t *testing.T, err error) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("the URL's query is in an error: %v", err)
	}
	for _, note := range c.notes {
		if strings.Contains(note, canary) {
			t.Errorf("the URL's query is in a note: %s", note)
		}
	}
	err = filepath.WalkDir(c.Archive.Path(""), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(canary)) {
			t.Errorf("the URL's query is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAnExpiredURLIsRefreshedAndNoByteIsLost(t *testing.T) {
	for name, expiry := range map[string]sandbox.Expiry{
		"after each request":     {Requests: 1},
		"after three requests":   {Requests: 3},
		"after seven requests":   {Requests: 7},
		"after a third of it":    {Bytes: 40000},
		"after every other part": {Bytes: 5000},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloudFetcher(t, sandbox.Faults{ExpireAfter: expiry}, 0)
			receipt, err := c.Fetch(context.Background(), c.ref)
			if err != nil {
				t.Fatal(err)
			}
			if len(receipt.Doubts) > 0 {
				t.Errorf("doubts: %q", receipt.Doubts)
			}
			checkLanded(t, c.Fetcher, c.ref.Key(), c.rows)
			served, gets := c.served()
			if served != int64(len(c.wire)) {
				t.Errorf("%d bytes were sent of %d", served, len(c.wire))
			}
			if gets < 2 || gets > 41 {
				t.Errorf("the job was asked %d times", gets)
			}
			c.checkSecret(t, nil)
		})
	}
}

func TestARefreshThatYieldsNoSuchObjectFailsTheAttempt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*sandbox.Job)
		check  func(error) bool
	}{
		{"another checksum", func(j *sandbox.Job) { j.CheckSum = strings.Repeat("A", 32) }, is(fetch.ErrChanged)},
		{"another size", func(j *sandbox.Job) { j.FileSize = new(int64(17)) }, is(fetch.ErrChanged)},
		{"another object", func(j *sandbox.Job) { j.File.Name = "other.csv.zst" }, is(fetch.ErrNotFound)},
		{"failed", func(j *sandbox.Job) { j.Statuses, j.Error = []string{sandbox.JobFailed}, "out of memory" }, func(err error) bool {
			failed, ok := errors.AsType[*fetch.JobError](err)
			return ok && failed.State == fetch.Failed && failed.Message == "out of memory"
		}},
		{"running again", func(j *sandbox.Job) { j.Statuses = []string{sandbox.JobRunning} }, func(err error) bool {
			_, ok := errors.AsType[*fetch.NotReadyError](err)
			return ok
		}},
		{"removed", func(j *sandbox.Job) { j.File.Gone = true }, is(fetch.ErrNotFound)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newCloudFetcher(t, sandbox.Faults{ExpireAfter: sandbox.Expiry{Requests: 9}}, 0)
			var once sync.Once
			c.refreshing = func() { once.Do(func() { c.cloud.UpdateJob(project, jobName, tt.change) }) }
			_, err := c.Fetch(context.Background(), c.ref)
			if !tt.check(err) {
				t.Errorf("got %v", err)
			}
			checkAbsent(t, c.Fetcher, c.ref.Key())
			c.checkSecret(t, err)
		})
	}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func TestARefreshIsRetriedWhenTheJobAPIThrottles(t *testing.T) {
	c := newCloudFetcher(t, sandbox.Faults{ExpireAfter: sandbox.Expiry{Requests: 9}}, 0)
	var once sync.Once
	c.refreshing = func() {
		once.Do(func() { c.cloud.UpdateJob(project, jobName, func(j *sandbox.Job) { j.Throttles = 2 }) })
	}
	if _, err := c.Fetch(context.Background(), c.ref); err != nil {
		t.Fatal(err)
	}
	checkLanded(t, c.Fetcher, c.ref.Key(), c.rows)
}

func TestURLsThatHaveAlwaysExpiredFailTheAttempt(t *testing.T) {
	c := newCloudFetcher(t, sandbox.Faults{}, -time.Hour)
	_, err := c.Fetch(context.Background(), c.ref)
	if !errors.Is(err, fetch.ErrExpired) {
		t.Errorf("%v, want %v", err, fetch.ErrExpired)
	}
	if _, gets := c.served(); gets > 4 {
		t.Errorf("the job was asked %d times", gets)
	}
	c.checkSecret(t, err)
}

func TestAFailedAttemptLeavesNoSecretOfAURL(t *testing.T) {
	if testing.Short() {
		t.Skip("one export after another")
	}
	for name, tt := range map[string]struct {
		faults sandbox.Faults
		check  func(error) bool
	}{
		"cut":       {sandbox.Faults{Cut: sandbox.Cut{After: 0, Times: -1}}, is(fetch.ErrTemporary)},
		"replaced":  {sandbox.Faults{Cut: sandbox.Cut{After: 100, Times: 3}, Replace: sandbox.Replacement{After: 5, Body: []byte("other")}}, is(fetch.ErrChanged)},
		"wrong CRC": {sandbox.Faults{WrongCRC: true}, isMismatch},
		"flipped":   {sandbox.Faults{Flip: sandbox.Flip{At: 5000, Times: -1}}, isMismatch},
		"busy":      {sandbox.Faults{Busy: 1000}, is(fetch.ErrTemporary)},
	} {
		c := newCloudFetcher(t, tt.faults, 0)
		_, err := c.Fetch(context.Background(), c.ref)
		if !tt.check(err) {
			t.Errorf("%s: got %v", name, err)
		}
		c.checkSecret(t, err)
	}
}
