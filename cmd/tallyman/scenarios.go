package main

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"fmt"
	"time"

	"tallyman/fetch/sandbox"
)

const (
	demoKey    = "SANDBOXKEY" // the account that the sandbox knows
	demoSecret = "sandbox-secret"

	demoRegion       = "cn-hangzhou"
	demoHuaweiRegion = "cn-north-4"
	demoBucket       = "sandbox-backups" // that download tasks of DBS write to, for --dbs-bucket
)

// scenario is one export of the sandbox. Its function stage puts it into a
// project of the cloud, whose address is origin, and returns its reference.
type scenario struct {
	title string
	stage func(cloud *sandbox.Cloud, origin, project string) (reference string)
}

func scenarios() []scenario {
	flipped, expiring := rows(40000, "csv", "zstd"), rows(60000, "csv", "zstd")
	flipped.Faults.Flip = sandbox.Flip{At: 200000, Times: 1}
	expiring.Faults.ExpireAfter = sandbox.Expiry{Requests: 3}
	return []scenario{
		{"A job that is not done yet: it is polled until it is", slsJob(sandbox.Job{Name: "nightly-zstd",
			Statuses: []string{sandbox.JobStarting, sandbox.JobRunning, sandbox.JobSucceeded}, File: rows(30000, "csv", "zstd")})},
		{"JSON lines in gzip", slsJob(sandbox.Job{Name: "nightly-gzip", File: rows(20000, "json", "gzip")})},
		{"lz4, though the job declares none", slsJob(sandbox.Job{Name: "nightly-lz4",
			DeclaredCompression: "none", File: rows(20000, "csv", "lz4")})},
		{"A byte flipped in transfer: found, and fetched again", slsJob(sandbox.Job{Name: "flipped", File: flipped})},
		{"A URL that expires in mid-transfer: the job gives a new one, and no byte is lost", slsJob(sandbox.Job{Name: "expiring", File: expiring})},
		{"A job that writes to a bucket of one's own, among other files", slsJob(sandbox.Job{Name: "nightly-bucket",
			Bucket: "sandbox-logs", Prefix: "exports/", Files: []sandbox.File{rows(8000, "csv", "zstd"), rows(4000, "csv", "zstd")}})},
		{"A data tracking result of DMS: a zip, throttled at first", dmsOrder},
		{"A download task of DBS: a tar with a file for each table", dbsTables},
		{"A download task of DBS that writes to the bucket of --dbs-bucket", dbsBackups},
		{"A file that a dump task of DIS delivers to OBS", disDelivery},
		{"Objects under a prefix of OSS", objects("oss", "sandbox-bucket", demoRegion)},
		{"Objects under a prefix of OBS", objects("obs", "sandbox-landing", demoHuaweiRegion)},
		{"A file by its signed URL, with promises of your own", signedURL},
	}
}

func rows(n int, format, codec string) sandbox.File {
	return sandbox.File{Rows: n, Format: format, Codec: codec, Seed: uint64(n)}
}

// slsJob stages an SLS job.
func slsJob(j sandbox.Job) func(*sandbox.Cloud, string, string) string {
	return func(cloud *sandbox.Cloud, _, project string) string {
		cloud.AddJob(project, j)
		return "sls://" + demoRegion + "/" + project + "/" + j.Name
	}
}

func dmsOrder(cloud *sandbox.Cloud, _, project string) string {
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

// dbsTables stages a download task that runs at first, and then has a URL.
func dbsTables(cloud *sandbox.Cloud, _, project string) string {
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

func dbsBackups(cloud *sandbox.Cloud, _, project string) string {
	cloud.AddTask(project, sandbox.Task{
		ID: "dt-backups", Bucket: demoBucket, Path: "exports/" + project,
		Files: []sandbox.File{rows(3000, "csv", "zstd"), rows(1000, "csv", "zstd")},
	})
	return "dbs://" + demoRegion + "/" + project + "/dt-backups"
}

// disDelivery stages a file that has one row in the log of the dump task.
func disDelivery(cloud *sandbox.Cloud, _, project string) string {
	start := time.Now().Add(-5 * time.Minute)
	name := fmt.Sprintf("%s.access-log.1.%d", project, start.UnixMilli())
	cloud.AddDumpTask(sandbox.DumpTask{
		ID: project, Bucket: "sandbox-landing", Prefix: "dumps", Partition: "yyyy/MM/dd", Compression: "gzip",
		Deliveries: []sandbox.Delivery{{Number: 1, Name: name, Start: start, End: start.Add(time.Minute), File: sandbox.File{Rows: 2500, Seed: 11}}},
	})
	return "dis://" + demoHuaweiRegion + "/" + project + "/" + name
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
