package dbs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/oss"
	"tallyman/fetch/sandbox"
	"tallyman/fetch/web"
	"tallyman/verify/archive"
)

const (
	rds        = "rm-bp1imnmcjxdz7"
	sinkBucket = "ali-test-oss-bucket"
)

// created is when the task of a cloud was created.
var created = time.Now().Add(-time.Hour).Truncate(time.Second)

// A cloud is a sandbox with one task of that instance, and the buckets of its
// owner.
type cloud struct {
	*sandbox.Cloud
	provider *Provider
	fetcher  *fetch.Fetcher
}

func started(t *testing.T, task sandbox.Task) *cloud {
	t.Helper()
	k := acs.Keys{AccessKeyID: "LTAIid", AccessKeySecret: "SECRETcanary", SecurityToken: "CAISTOKENcanary=="}
	c := sandbox.New(sandbox.Options{AccessKeyID: k.AccessKeyID, AccessKeySecret: k.AccessKeySecret, SecurityToken: k.SecurityToken})
	c.AddBucket(sinkBucket, sandbox.Bucket{Region: "cn-beijing", PageSize: 2})
	c.AddInstance(rds, sandbox.Instance{Region: "cn-hangzhou"})
	task.ID, task.CreateTime = "dt-qxntlvgu", created
	c.AddTask(rds, task)
	endpoint, stop, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	client := &http.Client{Transport: new(http.Transport)}
	t.Cleanup(client.CloseIdleConnections)
	a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	address, _ := url.Parse(endpoint)
	hosts := &hostguard.Policy{Domains: []string{"aliyuncs.com"}, Allow: []string{address.Host}}
	credentials := acs.Static(k)
	p := &Provider{
		Client: client, Keys: credentials.Keys, Endpoint: endpoint, AllowHTTP: hosts.Allows,
		Open:  func(rawURL string) (fetch.Source, error) { return web.Open(client, hosts, rawURL) },
		Store: &oss.Store{Client: client, Keys: credentials.Keys, Endpoint: endpoint}, Bucket: sinkBucket, Region: "cn-beijing",
	}
	return &cloud{c, p, &fetch.Fetcher{Providers: map[string]fetch.Provider{"dbs": p}, Archive: a}}
}

// tarOf returns a tar of files with those names and one content.
func tarOf(t *testing.T, content []byte, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: created}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// fetchNames fetches an export and returns the paths of its files below data/.
func fetchNames(t *testing.T, f *fetch.Fetcher, ref fetch.Ref) (names []string) {
	t.Helper()
	root := filepath.Join(f.Archive.Path(ref.Key()), "data")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(root, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestTheResultOfATaskLands(t *testing.T) {
	rows := sandbox.Generate(20, "csv", 1)
	tables := tarOf(t, rows, "dbtest/a/structure.sql", "dbtest/a/data/1.csv", "dbtest/b/data/1.csv")
	for _, c := range []struct {
		name    string
		task    sandbox.Task
		records int64
		want    []string // below data/
	}{
		{"a tar.gz by URL", sandbox.Task{File: sandbox.File{Name: "dt-qxntlvgu.tar.gz", Body: sandbox.Compress("gzip", tables)}},
			-1, []string{"dbtest/a/data/1.csv", "dbtest/a/structure.sql", "dbtest/b/data/1.csv"}},
		{"a tar.zst by URL, whatever its name", sandbox.Task{File: sandbox.File{Name: "test_456", Body: sandbox.Compress("zstd", tables)}},
			-1, []string{"dbtest/a/data/1.csv", "dbtest/a/structure.sql", "dbtest/b/data/1.csv"}},
		{"CSV by URL", sandbox.Task{File: sandbox.File{Name: "test_456", Body: rows}}, 21, []string{"dt-qxntlvgu.csv"}},
		{"SQL by URL", sandbox.Task{Format: "SQL", File: sandbox.File{Name: "test_456", Body: []byte("INSERT;\n")}}, -1, []string{"dt-qxntlvgu.sql"}},
		{"Parquet by URL", sandbox.Task{Format: "Parquet", File: sandbox.File{Name: "test_456", Body: []byte("PAR1\nPAR1")}}, -1, []string{"dt-qxntlvgu.parquet"}},
		{"a task that begins yet, and is throttled", sandbox.Task{Statuses: []string{sandbox.TaskInitializing, sandbox.TaskQueueing, sandbox.TaskQueuing, sandbox.TaskRunning, "FINISHED"},
			Throttles: 1, Milliseconds: true, File: sandbox.File{Rows: 20, Codec: "zstd"}}, 21, []string{"dt-qxntlvgu.csv"}},
		{"one tar in a bucket", sandbox.Task{Bucket: sinkBucket, Path: "test_db/path", File: sandbox.File{Name: "all.tar.zst", Body: sandbox.Compress("zstd", tables)}},
			-1, []string{"dbtest/a/data/1.csv", "dbtest/a/structure.sql", "dbtest/b/data/1.csv"}},
		{"files in a bucket", sandbox.Task{Bucket: sinkBucket, Path: "/test_db/path/", Files: []sandbox.File{{Name: "a/structure.sql", Body: []byte("CREATE;\n")}, {Name: "a/1.csv", Rows: 20}, {Name: "b/1.csv", Rows: 20, Codec: "gzip"}}},
			-1, []string{"dt-qxntlvgu/a/1.csv", "dt-qxntlvgu/a/structure.sql", "dt-qxntlvgu/b/1.csv"}},
		{"a file in a bucket without a path", sandbox.Task{Bucket: sinkBucket, File: sandbox.File{Rows: 20}}, 21, []string{"dt-qxntlvgu.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud, ref := started(t, c.task), parseRef(t, taskRef)
			if c.task.Path != "" {
				cloud.AddObject(sinkBucket, "test_db/path2/dt-qxntlvgu/x.csv", sandbox.File{Rows: 1})
			}
			cloud.AddObject(sinkBucket, "test_db/path/dt-other/x.csv", sandbox.File{Rows: 1})
			cloud.AddObject(sinkBucket, "test_db/path/dt-qxntlvgu-old.csv", sandbox.File{Rows: 1, LastModified: created.Add(-time.Second)})
			receipt, err := cloud.fetcher.Fetch(t.Context(), ref)
			for range 10 { // more than it has states
				if errors.Is(err, fetch.ErrThrottled) || isNotReady(err) {
					receipt, err = cloud.fetcher.Fetch(t.Context(), ref)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, fetchNames(t, cloud.fetcher, ref)); diff != "" {
				t.Errorf("files (-want +got)\n%s", diff)
			}
			if receipt.Records != c.records || len(receipt.Doubts) > 0 || strings.Contains(fmt.Sprint(receipt.Answer), "Signature") {
				t.Errorf("%d records, doubts %q, answer %s", receipt.Records, receipt.Doubts, receipt.Answer)
			}
			if err := cloud.fetcher.Archive.Recheck(t.Context(), ref.Key(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func isNotReady(err error) bool {
	_, ok := errors.AsType[*fetch.NotReadyError](err)
	return ok
}

func TestATaskWithoutAResultLandsNothing(t *testing.T) {
	for _, c := range []struct {
		name   string
		task   sandbox.Task
		change func(*cloud)
		is     error
		want   string
	}{
		{"that failed", sandbox.Task{Statuses: []string{sandbox.TaskFailed}}, nil, nil, "the job failed: failed"},
		{"whose result has expired", sandbox.Task{Statuses: []string{sandbox.TaskExpired}}, nil, nil, "the job expired: expired"},
		{"with a status that we don't know", sandbox.Task{Statuses: []string{"archiving"}}, nil, nil, "the job is not ready: archiving"},
		{"whose file is gone", sandbox.Task{File: sandbox.File{Rows: 1, Gone: true}}, nil, fetch.ErrNotFound, "NoSuchKey"},
		{"without a URL", sandbox.Task{PublicURL: sandbox.Absent}, nil, fetch.ErrNotFound, "the task has finished but has no URL"},
		{"at a host that is not the vendor's", sandbox.Task{PublicURL: "http://h.example/f?Signature=canary"}, nil, hostguard.ErrHost, "h.example"},
		{"whose URL is refused", sandbox.Task{Failure: sandbox.Failure{Code: "DBS.ParamIsInValid", Message: "no", Times: -1}}, nil, fetch.ErrRefused, "DBS.ParamIsInValid: no"},
		{"that is not there", sandbox.Task{}, func(c *cloud) { c.RemoveTask(rds, "dt-qxntlvgu") }, fetch.ErrNotFound, "has no download task dt-qxntlvgu"},
		{"in a bucket that nobody names", sandbox.Task{Bucket: sinkBucket}, func(c *cloud) { c.provider.Bucket = "" }, ErrNoBucket, "wrote to a bucket that the service does not name"},
		{"in a bucket of no store", sandbox.Task{Bucket: sinkBucket}, func(c *cloud) { c.provider.Store = nil }, ErrNoBucket, "wrote to a bucket that the service does not name"},
		{"in a bucket that is empty", sandbox.Task{Bucket: sinkBucket, Path: "p", Files: []sandbox.File{}}, nil, fetch.ErrNotFound, `no object with the prefix "p/" modified since`},
		{"in a bucket that is not there", sandbox.Task{Bucket: sinkBucket}, func(c *cloud) { c.provider.Bucket = "another-bucket" }, fetch.ErrNotFound, "NoSuchBucket"},
		{"in a bucket elsewhere", sandbox.Task{Bucket: sinkBucket, File: sandbox.File{Rows: 1}}, func(c *cloud) {
			c.AddBucket(sinkBucket, sandbox.Bucket{Endpoint: "oss-cn-shanghai.aliyuncs.com"})
		}, fetch.ErrRefused, "the bucket is at oss-cn-shanghai.aliyuncs.com: its region is cn-shanghai"},
		{"of an instance elsewhere", sandbox.Task{}, func(c *cloud) { c.AddInstance(rds, sandbox.Instance{Region: "cn-beijing"}) }, fetch.ErrRefused, "the instance does not exist"},
		{"of another account", sandbox.Task{}, func(c *cloud) {
			c.provider.Keys = acs.Static(acs.Keys{AccessKeyID: "LTAIother", AccessKeySecret: "SECRETcanary"}).Keys
		},
			fetch.ErrAuth, "InvalidAccessKeyId.NotFound"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := started(t, c.task)
			if c.change != nil {
				c.change(cloud)
			}
			ref := parseRef(t, taskRef)
			_, err := cloud.fetcher.Fetch(t.Context(), ref)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if _, err := cloud.fetcher.Archive.Receipt(ref.Key()); !errors.Is(err, fs.ErrNotExist) {
				t.Error("something landed", err)
			}
		})
	}
}

func TestAnExpiredURLIsAskedForAnew(t *testing.T) {
	cloud := started(t, sandbox.Task{File: sandbox.File{Rows: 5000, Faults: sandbox.Faults{ExpireAfter: sandbox.Expiry{Requests: 2}}}})
	cloud.fetcher.PartSize, cloud.fetcher.Parallel = 64<<10, 1
	receipt, err := cloud.fetcher.Fetch(t.Context(), parseRef(t, taskRef))
	if err != nil || receipt.Records != 5001 {
		t.Fatalf("got %+v, %v", receipt, err)
	}
	if n := cloud.Counts(); n.Calls[urlCall] < 2 || n.Calls[urlCall] != n.Calls[tasksCall] {
		t.Errorf("calls %v", n.Calls)
	}
}

func TestATaskWithoutATimeLandsWithADoubt(t *testing.T) {
	cloud := started(t, sandbox.Task{Bucket: sinkBucket, Path: "p", File: sandbox.File{Rows: 1}})
	p := answering(listed(finished(`"1663321957000"`, `null`, `"URL"`, `"OSS"`, `"TargetPath": ""`, `"TargetPath": "p"`)))
	p.Store, p.Bucket, p.Region = cloud.provider.Store, sinkBucket, "cn-beijing"
	cloud.AddObject(sinkBucket, "p/old.csv", sandbox.File{Rows: 1, LastModified: created.Add(-24 * time.Hour)})
	export, err := p.Export(t.Context(), parseRef(t, taskRef))
	if err != nil || !export.Snapshot || len(export.Doubts) != 1 || object(t, export).Name != "old.csv" {
		t.Errorf("got %+v, %v", export, err)
	}
}

func TestABucketIsInTheRegionOfTheTaskUnlessOneIsSet(t *testing.T) {
	cloud := started(t, sandbox.Task{Bucket: sinkBucket, File: sandbox.File{Rows: 1}})
	cloud.AddBucket(sinkBucket, sandbox.Bucket{Region: "cn-hangzhou"})
	cloud.provider.Region = ""
	if _, err := cloud.fetcher.Fetch(t.Context(), parseRef(t, taskRef)); err != nil {
		t.Error(err)
	}
}

func TestAnInstanceOfTheSandboxIsListed(t *testing.T) {
	for _, signature := range []string{"acs3", "v1"} {
		for name, ways := range map[string]sandbox.Instance{
			"as the vendor's":     {},
			"plainly":             {NoUnknownError: true, BoolSuccess: true, ListContent: true},
			"with the old totals": {OldTotals: true},
			"in small pages":      {PageSize: 7},
			"without totals":      {TotalPages: new(int64(-1)), TotalTasks: new(int64(-1))},
			"with wrong totals":   {TotalPages: new(int64(1)), TotalTasks: new(int64(3))},
		} {
			t.Run(signature+", "+name, func(t *testing.T) {
				cloud := started(t, sandbox.Task{Statuses: []string{sandbox.TaskRunning}})
				cloud.AddInstance(rds, ways)
				for i, id := range ids(120) {
					cloud.AddTask(rds, sandbox.Task{ID: id, CreateTime: created.Add(time.Duration(-1-i) * time.Second)})
				}
				cloud.provider.Signature = signature
				got, err := list(t, cloud.provider, created.Add(-110*time.Second))
				want := append([]string{"dt-qxntlvgu"}, ids(120)[:110]...)
				if diff := cmp.Diff(want, got); diff != "" || err != nil {
					t.Errorf("%v; tasks (-want +got)\n%s", err, diff)
				}
			})
		}
	}
}
