package sls

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/oss"
	"tallyman/fetch/sandbox"
	"tallyman/verify"
	"tallyman/verify/archive"
)

const (
	sinkBucket = "ali-test-oss-bucket"
	sinkPrefix = "exports/july/"
)

// A cloud is a sandbox with one job of that project, and the buckets of its
// owner.
type cloud struct {
	*sandbox.Cloud
	provider *Provider
	fetcher  *fetch.Fetcher
}

// created is when the job of a cloud was created.
var created = time.Now().Add(-time.Hour).Truncate(time.Second)

func started(t *testing.T, j sandbox.Job) *cloud {
	t.Helper()
	c := sandbox.New(sandbox.Options{AccessKeyID: "LTAIid", AccessKeySecret: "SECRETcanary", SecurityToken: "CAISTOKENcanary=="})
	c.AddBucket(sinkBucket, sandbox.Bucket{Region: "cn-hangzhou", PageSize: 2})
	if j.Name = "download-123"; j.CreateTime.IsZero() {
		j.CreateTime = created
	}
	c.AddJob("ali-test-project", j)
	url, stop, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	client := &http.Client{Transport: new(http.Transport)}
	t.Cleanup(client.CloseIdleConnections)
	keys := StaticKeys("LTAIid", "SECRETcanary", "CAISTOKENcanary==")
	p := &Provider{Client: client, Open: open, Keys: keys, Endpoint: url, Store: &oss.Store{Client: client, Keys: keys, Endpoint: url}}
	a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	return &cloud{c, p, &fetch.Fetcher{Providers: map[string]fetch.Provider{"sls": p}, Archive: a}}
}

// bucketJob returns a job that wrote those files to its bucket.
func bucketJob(files ...sandbox.File) sandbox.Job {
	return sandbox.Job{Bucket: sinkBucket, Prefix: sinkPrefix, Files: files}
}

// add puts an object in the bucket, modified that long after the job was created.
func (c *cloud) add(key string, after time.Duration, f sandbox.File) {
	f.LastModified = created.Add(after)
	c.AddObject(sinkBucket, key, f)
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

func TestTheObjectsThatAJobWroteToABucketLand(t *testing.T) {
	row := sandbox.File{Rows: 1}
	for _, c := range []struct {
		name    string
		job     sandbox.Job
		decoys  func(*cloud)
		records int64
		want    []string // below data/
	}{
		{"one file", bucketJob(sandbox.File{Rows: 20, Codec: "zstd"}), nil, 20, []string{"download-123.csv"}},
		{"several files", bucketJob(sandbox.File{Rows: 20, Codec: "zstd"}, sandbox.File{Rows: 30, Codec: "gzip"}, sandbox.File{Rows: 5}), nil,
			55, []string{"download-123-1.csv", "download-123-2.csv", "download-123-3.csv"}},
		{"only those with the job's name, where some have it", bucketJob(sandbox.File{Rows: 20, Format: "json"}, sandbox.File{Rows: 30, Format: "json"}), func(c *cloud) {
			c.add(sinkPrefix+"download-12.json", time.Minute, row)
			c.add(sinkPrefix+"download-1234.json", time.Minute, row)
			c.add(sinkPrefix+"other.json", time.Minute, row)
			c.add(sinkPrefix+"download-123-old.json", -time.Second, row)
			c.add("exports/download-123.json", time.Minute, row)
		}, 50, []string{"download-123-1.json", "download-123-2.json"}},
		{"all that is new, where none has it", bucketJob(sandbox.File{Name: "2024/part1.csv", Rows: 20}, sandbox.File{Name: "2024/part2.csv", Rows: 30}), func(c *cloud) {
			c.add(sinkPrefix+"2024/part0.csv", -time.Second, row)
			c.add(sinkPrefix+"2024/", time.Minute, sandbox.File{Body: []byte{}})
			c.add("exports/june/part3.csv", time.Minute, row)
		}, 50, []string{"2024/part1.csv", "2024/part2.csv"}},
		{"what was modified in the second of the job's creation", bucketJob(sandbox.File{Name: "part1.csv", Rows: 20, LastModified: created}), nil, 20, []string{"download-123.csv"}},
		{"keys below the prefix's last slash", sandbox.Job{Bucket: sinkBucket, Prefix: "exports/july", Files: []sandbox.File{{Name: "/part1.csv", Rows: 2}, {Name: "-31.csv", Rows: 3}}}, nil,
			5, []string{"july/part1.csv", "july-31.csv"}},
		{"all of a bucket without a prefix", sandbox.Job{Bucket: sinkBucket, Files: []sandbox.File{{Name: "a/part1.csv", Rows: 2}, {Name: "part2.csv", Rows: 3}}}, nil,
			5, []string{"a/part1.csv", "part2.csv"}},
		{"a job with the address of an object that is no URL", sandbox.Job{Bucket: sinkBucket, Prefix: sinkPrefix, FilePath: "oss://" + sinkBucket + "/" + sinkPrefix + "download-123.csv", File: sandbox.File{Rows: 9}}, nil,
			9, []string{"download-123.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := started(t, c.job)
			if c.decoys != nil {
				c.decoys(cloud)
			}
			ref := parseRef(t, jobRef)
			receipt, err := cloud.fetcher.Fetch(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, fetchNames(t, cloud.fetcher, ref)); diff != "" {
				t.Errorf("files (-want +got)\n%s", diff)
			}
			promised := strconv.FormatInt(c.records, 10)
			counted := slices.ContainsFunc(receipt.Checks, func(k verify.Check) bool { return k.Check == verify.CheckRecords && k.Want == promised })
			if !counted || len(receipt.Doubts) > 0 {
				t.Errorf("checks %+v, doubts %q, want %s records", receipt.Checks, receipt.Doubts, promised)
			}
			if err := cloud.fetcher.Archive.Recheck(t.Context(), ref.Key(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAJobWithoutObjectsInItsBucketIsNotFound(t *testing.T) {
	row := sandbox.File{Rows: 1}
	for _, c := range []struct {
		name string
		job  sandbox.Job
		want string
	}{
		{"where all is older", bucketJob(), `has no object with the prefix "exports/july/" modified since`},
		{"where no age is known and no key holds the name", sandbox.Job{Bucket: sinkBucket, Prefix: sinkPrefix, Files: []sandbox.File{}, CreateTime: time.Unix(0, 0)}, `no key holds its name "download-123"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.job.Files = []sandbox.File{}
			cloud := started(t, c.job)
			cloud.add(sinkPrefix+"part1.csv", -time.Second, row)
			cloud.add(sinkPrefix+"download-1234.csv", -time.Second, row)
			ref := parseRef(t, jobRef)
			_, err := cloud.fetcher.Fetch(t.Context(), ref)
			if !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if _, err := os.Lstat(cloud.fetcher.Archive.Path(ref.Key())); !errors.Is(err, fs.ErrNotExist) {
				t.Error("something landed", err)
			}
		})
	}
}

func TestWithoutACreateTimeOnlyKeysWithTheJobsNameAreFetched(t *testing.T) {
	for _, c := range []struct {
		name, prefix string
		files        []string
		want         []string
	}{
		{"in their names", sinkPrefix, []string{"download-123-1.csv", "download-123.2.csv", "part3.csv", "download-1234.csv"}, []string{"download-123-1.csv", "download-123.2.csv"}},
		{"or in the prefix", "exports/download-123/", []string{"part1.csv", "part2.csv"}, []string{"part1.csv", "part2.csv"}},
		{"but not in a part of it that they don't share", "exports/download-1234/", []string{"part1.csv", "a/download-123/part2.csv", "b/download-123/part3.csv"}, []string{"a/download-123/part2.csv", "b/download-123/part3.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			job := sandbox.Job{Bucket: sinkBucket, Prefix: c.prefix, CreateTime: time.Unix(0, 0)}
			for _, name := range c.files {
				job.Files = append(job.Files, sandbox.File{Name: name, Rows: 3, LastModified: created.Add(-time.Hour)})
			}
			job.LogCount = new(int64(3 * len(c.want)))
			cloud := started(t, job)
			ref := parseRef(t, jobRef)
			if _, err := cloud.fetcher.Fetch(t.Context(), ref); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, fetchNames(t, cloud.fetcher, ref)); diff != "" {
				t.Errorf("files (-want +got)\n%s", diff)
			}
		})
	}
}

func TestAnExportInABucketIsASnapshotWithoutPromisesForOneObject(t *testing.T) {
	cloud := started(t, sandbox.Job{Bucket: sinkBucket, Prefix: sinkPrefix, File: sandbox.File{Rows: 20}, FileSize: new(int64(1)), CheckSum: "9E107D9D372BB6826BD81D3542A419D6"})
	export, err := cloud.provider.Export(t.Context(), parseRef(t, jobRef))
	if err != nil {
		t.Fatal(err)
	}
	o := object(t, export)
	if !export.Snapshot || export.Records != 20 || o.Name != "download-123.csv" || o.Content != "csv" || o.Want.Size <= 1 || strings.Contains(o.Want.ETag, "9E107D9D") {
		t.Errorf("got %+v of %+v", o, export)
	}
}

func TestAURLIsUsedEvenIfThereIsABucket(t *testing.T) {
	cloud := started(t, sandbox.Job{Bucket: sinkBucket, Prefix: sinkPrefix, FilePath: "https://h.example/d/other.csv?Signature=canary"})
	export, err := cloud.provider.Export(t.Context(), parseRef(t, jobRef))
	if err != nil {
		t.Fatal(err)
	}
	if o := object(t, export); export.Snapshot || o.Source != fetchtest.Opened("https://h.example/d/other.csv?Signature=canary") {
		t.Errorf("got %+v of %+v", o, export)
	}
	if cloud.Counts().Calls["ListObjectsV2"] > 0 {
		t.Error("the bucket is listed")
	}
}

func TestARefusalOfTheBucketIsTheError(t *testing.T) {
	for _, c := range []struct {
		name, bucket string
		change       func(*cloud)
		kind         error
		want         string
	}{
		{"a bucket elsewhere", sinkBucket, func(c *cloud) { c.AddBucket(sinkBucket, sandbox.Bucket{Endpoint: "oss-cn-beijing.aliyuncs.com"}) }, fetch.ErrRefused,
			"the bucket is at oss-cn-beijing.aliyuncs.com: fetch oss://" + sinkBucket + "/" + sinkPrefix + "?region=cn-beijing, all of it"},
		{"a bucket that can't be", "No_Bucket", func(*cloud) {}, errors.ErrUnsupported, `bucket "No_Bucket"`},
		{"keys of another account", sinkBucket, func(c *cloud) { c.provider.Store.Keys = StaticKeys("LTAIother", "SECRETcanary", "") }, fetch.ErrAuth, "ListObjectsV2 oss://" + sinkBucket},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := started(t, sandbox.Job{Bucket: c.bucket, Prefix: sinkPrefix, File: sandbox.File{Rows: 1}})
			c.change(cloud)
			_, err := cloud.fetcher.Fetch(t.Context(), parseRef(t, jobRef))
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
