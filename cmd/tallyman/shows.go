package main

import (
	"crypto/md5"
	"fmt"

	"tallyman/fetch/sandbox"
)

// The account that the sandbox knows.
const (
	demoRegion = "cn-hangzhou"
	demoKey    = "SANDBOXKEY"
	demoSecret = "sandbox-secret"
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
			Statuses: []string{sandbox.Starting, sandbox.Running, sandbox.Succeeded}, File: rows(30000, "csv", "zstd")})},
		{"JSON lines in gzip", job(sandbox.Job{Name: "nightly-gzip", File: rows(20000, "json", "gzip")})},
		{"lz4, though the job declares none", job(sandbox.Job{Name: "nightly-lz4",
			DeclaredCompression: "none", File: rows(20000, "csv", "lz4")})},
		{"A byte flipped on the way: caught, and fetched again", job(sandbox.Job{Name: "flipped", File: flipped})},
		{"A URL that expires in mid-transfer: the job gives a new one, and not a byte is lost", job(sandbox.Job{Name: "expiring", File: expiring})},
		{"A job that writes to a bucket of one's own, among other files", job(sandbox.Job{Name: "nightly-bucket",
			Bucket: "sandbox-logs", Prefix: "exports/", Files: []sandbox.File{rows(8000, "csv", "zstd"), rows(4000, "csv", "zstd")}})},
		{"A data tracking result of DMS: a zip, throttled at first", order},
		{"Objects under a prefix of OSS", bucket},
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
		Statuses: []string{sandbox.OrderInit, sandbox.OrderListing, sandbox.OrderDownloading, sandbox.OrderSucceeded},
		Total:    new(int64(700)),
		File: sandbox.File{Name: "1100_REDO.zip", Body: sandbox.Zip(
			sandbox.Entry{Name: "redo/orders.csv", Content: sandbox.Generate(400, "csv", 7)},
			sandbox.Entry{Name: "redo/users.csv", Content: sandbox.Generate(300, "csv", 8)},
		)},
	})
	return "dms://" + demoRegion + "/1100/" + project
}

func bucket(cloud *sandbox.Cloud, _, project string) string {
	for key, file := range map[string]sandbox.File{
		"a/access.csv.zst": rows(5000, "csv", "zstd"),
		"a/errors.json.gz": rows(2000, "json", "gzip"),
		"b+c d.csv":        rows(1000, "csv", "none"),
	} {
		cloud.AddObject("sandbox-bucket", project+"/"+key, file)
	}
	return "oss://sandbox-bucket/" + project + "/?region=" + demoRegion
}

// signedURL stages a file that is given by its URL, as a console gives it.
func signedURL(cloud *sandbox.Cloud, origin, project string) string {
	body := sandbox.Compress("gzip", sandbox.Generate(5000, "csv", 6))
	cloud.AddJob(project, sandbox.Job{Name: "by-url", File: sandbox.File{Name: "export.csv.gz", Rows: 5000, Body: body}})
	return cloud.URL(origin, project, "by-url") + fmt.Sprintf("#md5=%x&size=%d&records=5000", md5.Sum(body), len(body))
}
