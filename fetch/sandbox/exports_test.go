package sandbox

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestJobWritesToItsBucketOnceItSucceeds(t *testing.T) {
	clock := now()
	o := options()
	o.Now = func() time.Time { return clock }
	c := New(o)
	old := clock.Add(-time.Hour)
	c.AddObject("own", "x/job-1-old.csv", File{LastModified: old})
	c.AddJob(project, Job{Name: "job-1", Bucket: "own", Prefix: "x/", Statuses: []string{JobRunning, JobSucceeded},
		Files: []File{{Rows: 2}, {Rows: 3, Codec: "zstd"}, {Name: "third.bin", Body: []byte("123456789"), LastModified: old}}})
	c.AddJob(project, Job{Name: "job-2", Bucket: "own", Prefix: "x/", File: File{Rows: 1, Codec: "gzip"}})
	base, stop, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	getJob(t, base, "job-1")
	if keys := c.Keys("own"); !slices.Equal(keys, []string{"x/job-1-old.csv", "x/job-2.csv.gzip"}) {
		t.Errorf("while it runs: %q", keys)
	}
	clock = clock.Add(time.Minute)
	d := getJob(t, base, "job-1").Details
	if d.FilePath != "" || *d.LogCount != 5 || d.CheckSum != "" {
		t.Errorf("%+v", d)
	}
	var size int64
	p := listing1(t, base, "prefix=x/job-1")
	for _, o := range p.Contents {
		size += int64(o.Size)
	}
	if got := p.items(); !slices.Equal(got, []string{"x/job-1-1.csv", "x/job-1-2.csv.zst", "x/job-1-old.csv"}) || p.Contents[0].LastModified != "2026-01-02T03:05:05.000Z" {
		t.Errorf("%+v", p)
	}
	if p := listing1(t, base, "prefix=x/third"); p.Contents[0].LastModified != "2026-01-02T02:04:05.000Z" {
		t.Errorf("%+v", p)
	}
	if g := visited(t, "GET", base, "/own/x/third.bin"); g.body != "123456789" {
		t.Errorf("%d %s", g.status, g.body)
	}
	if one := getJob(t, base, "job-2").Details; one.CheckSum != strings.Trim(listing1(t, base, "prefix=x/job-2").Contents[0].ETag, `"`) || *one.LogCount != 1 {
		t.Errorf("%+v", one)
	}
	header := int64(len(Generate(0, "csv", 0)))
	if *d.FileSize != size-header+9 {
		t.Errorf("promised %d, listed %d", *d.FileSize, size)
	}
	c.RemoveObject("own", "x/third.bin")
	getJob(t, base, "job-1")
	if slices.Contains(c.Keys("own"), "x/third.bin") {
		t.Error("written twice")
	}
	c.UpdateJob(project, "job-1", func(j *Job) { j.Files[2].Body = []byte("1234") })
	if d := getJob(t, base, "job-1").Details; *d.FileSize != size-header+4 || !slices.Contains(c.Keys("own"), "x/third.bin") {
		t.Errorf("after a change: %+v", d)
	}
	c.UpdateJob(project, "job-1", func(j *Job) { j.Files = j.Files[2:]; j.FilePath = "oss://own/x/third.bin" })
	if d := getJob(t, base, "job-1").Details; d.CheckSum == "" || *d.FileSize != 4 || d.FilePath == "" || !slices.Contains(c.Keys("own"), "x/third.bin") {
		t.Errorf("%+v", d)
	}
}

func TestBucketOfAJobIsThereBeforeItsFile(t *testing.T) {
	c, base := started(t, Job{Name: "job-1", Bucket: "own", Statuses: []string{JobRunning}})
	if p := listing1(t, base, "list-type=2"); len(p.Contents) != 0 || p.KeyCount != 0 {
		t.Errorf("%+v", p)
	}
	c.RemoveJob(project, "job-1")
	listing1(t, base, "")
}
