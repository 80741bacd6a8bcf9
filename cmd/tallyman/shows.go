package main

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"fmt"
	"time"

	"tallyman/fetch/sandbox"
)

// The account that the sandbox knows.
const (
	demoRegion   = "cn-hangzhou"
	huaweiRegion = "cn-north-4"
	demoKey      = "SANDBOXKEY"
	demoSecret   = "sandbox-secret"

	// demoSink is where the download tasks of DBS write, for --dbs-bucket.
	demoSink = "sandbox-backups"
)

// A show is one export of the sandbox: how it comes to be in the cloud at that
// origin, in that project, and the reference that fetches it.
type show struct {
	title string
	stage func(cloud *sandbox.Cloud, origin, project string) (reference string)
}

func shows() []show {
	flipped, expiring := rows(40000, "csv", "zstd"), rows(60000, "csv", "zstd")
	flipped.Faults.Flip = sandbox.Flip{At: 200000, Times: 1}
	expiring.Faults.ExpireAfter = sandbox.Expiry{Requests: 3}
	return []show{
		{"A job that is not done yet: it is asked until it is", job(sandbox.Job{Name: "nightly-zstd",
			Statuses: []string{sandbox.JobStarting, sandbox.JobRunning, sandbox.JobSucceeded}, File: rows(30000, "csv", "zstd")})},
		{"JSON lines in gzip", job(sandbox.Job{Name: "nightly-gzip", File: rows(20000, "json", "gzip")})},
		{"lz4, though the job declares none", job(sandbox.Job{Name: "nightly-lz4",
			DeclaredCompression: "none", File: rows(20000, "csv", "lz4")})},
		{"A byte flipped on the way: caught, and fetched again", job(sandbox.Job{Name: "flipped", File: flipped})},
		{"A URL that expires in mid-transfer: the job gives a new one, and not a byte is lost", job(sandbox.Job{Name: "expiring", File: expiring})},
		{"A job that writes to a bucket of one's own, among other files", job(sandbox.Job{Name: "nightly-bucket",
			Bucket: "sandbox-logs", Prefix: "exports/", Files: []sandbox.File{rows(8000, "csv", "zstd"), rows(4000, "csv", "zstd")}})},
		{"A data tracking result of DMS: a zip, throttled at first", order},
		{"A download task of DBS: a tar with a file for each table", tables},
		{"A download task of DBS that writes to the bucket of --dbs-bucket", backups},
		{"A file that a dump task of DIS delivers to OBS", delivery},
		{"Objects under a prefix of OSS", objects("oss", "sandbox-bucket", demoRegion)},
		{"Objects under a prefix of OBS", objects("obs", "sandbox-landing", huaweiRegion)},
		{"A file by its signed URL, with promises of our own", signedURL},
	}
}

func rows(n int, format, codec string) sandbox.File {
	return sandbox.File{Rows: n, Format: format, Codec: codec, Seed: uint64(n)}
}

// job stages an SLS job.
func job(j sandbox.Job) func(*sandbox.Cloud, string, string) string {
	return func(cloud *sandbox.Cloud, _, project string) string {
		cloud.AddJob(project, j)
		return "sls://" + demoRegion + "/" + project + "/" + j.Name
	}
}

func order(cloud *sandbox.Cloud, _, project string) string {
	cloud.AddOrder(sandbox.Order{
		ID: 1100, Key: project, Throttles: 1,
		Total: new(int64(700)),
		File: sandbox.File{Name: "1100_REDO.zip", Body: sandbox.Zip(
			sandbox.ZipEntry{Name: "redo/orders.csv", Content: sandbox.Generate(400, "csv", 7)},
			sandbox.ZipEntry{Name: "redo/users.csv", Content: sandbox.Generate(300, "csv", 8)},
		)},
	})
	return "dms://" + demoRegion + "/1100/" + project
}

// tables stages a task that is asked until it has finished, and then has a URL.
func tables(cloud *sandbox.Cloud, _, project string) string {
	cloud.AddTask(project, sandbox.Task{
		ID: "dt-tables", Statuses: []string{sandbox.TaskRunning, sandbox.TaskFinished},
		File: sandbox.File{Name: "dt-tables.tar.gz", Body: sandbox.Compress("gzip", tarOf(
			sandbox.ZipEntry{Name: "shop/orders.csv", Content: sandbox.Generate(500, "csv", 9)},
			sandbox.ZipEntry{Name: "shop/users.csv", Content: sandbox.Generate(200, "csv", 10)},
		))},
	})
	return "dbs://" + demoRegion + "/" + project + "/dt-tables"
}

func tarOf(entries ...sandbox.ZipEntry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b) // which does not fail, into memory
	for _, e := range entries {
		_ = w.WriteHeader(&tar.Header{Name: e.Name, Mode: 0o644, Size: int64(len(e.Content))})
		_, _ = w.Write(e.Content)
	}
	_ = w.Close()
	return b.Bytes()
}

func backups(cloud *sandbox.Cloud, _, project string) string {
	cloud.AddTask(project, sandbox.Task{
		ID: "dt-backups", Bucket: demoSink, Path: "exports/" + project,
		Files: []sandbox.File{rows(3000, "csv", "zstd"), rows(1000, "csv", "zstd")},
	})
	return "dbs://" + demoRegion + "/" + project + "/dt-backups"
}

// delivery stages a file of which the dump task's log has one row.
func delivery(cloud *sandbox.Cloud, _, project string) string {
	start := time.Now().Add(-5 * time.Minute)
	name := fmt.Sprintf("%s.access-log.1.%d", project, start.UnixMilli())
	cloud.AddDumpTask(sandbox.DumpTask{
		ID: project, Bucket: "sandbox-landing", Prefix: "dumps", Partition: "yyyy/MM/dd", Compression: "gzip",
		Deliveries: []sandbox.Delivery{{Number: 1, Name: name, Start: start, End: start.Add(time.Minute), File: sandbox.File{Rows: 2500, Seed: 11}}},
	})
	return "dis://" + huaweiRegion + "/" + project + "/" + name
}

// objects stages what is in a bucket of OSS or OBS.
func objects(scheme, bucket, region string) func(*sandbox.Cloud, string, string) string {
	return func(cloud *sandbox.Cloud, _, project string) string {
		for key, file := range map[string]sandbox.File{
			"a/access.csv.zst": rows(5000, "csv", "zstd"),
			"a/errors.json.gz": rows(2000, "json", "gzip"),
			"b+c d.csv":        rows(1000, "csv", "none"),
		} {
			cloud.AddObject(bucket, project+"/"+key, file)
		}
		return scheme + "://" + bucket + "/" + project + "/?region=" + region
	}
}

// signedURL stages a file that is given by its URL, as a console gives it.
func signedURL(cloud *sandbox.Cloud, origin, project string) string {
	body := sandbox.Compress("gzip", sandbox.Generate(5000, "csv", 6))
	cloud.AddJob(project, sandbox.Job{Name: "by-url", File: sandbox.File{Name: "export.csv.gz", Rows: 5000, Body: body}})
	return cloud.JobURL(origin, project, "by-url") + fmt.Sprintf("#md5=%x&size=%d&records=5000", md5.Sum(body), len(body))
}
