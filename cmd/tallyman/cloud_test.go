package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"tallyman/fetch/sandbox"
)

const (
	accessKeyID     = "test-key"
	accessKeySecret = "test-secret"
	testProject     = "ali-test-project"
)

// clouds are those of the scripts that run, by the directory of each.
var clouds sync.Map

// cloudCommand drives the cloud of a script:
//
//	cloud start [TOKEN]               sets ENDPOINT, HOSTPORT and JOBS, where references begin
//	cloud job NAME SETTING...         adds a job, or replaces it
//	cloud change NAME SETTING...      changes one
//	cloud url NAME                    sets URL, SIGNATURE and EXPIRES to those of a fresh signed URL
//	cloud asked NAME N, sent NAME N   how often the job or its file was asked for
//	cloud called NAME N               how often a call of that name was made
func cloudCommand(ts *testscript.TestScript, neg bool, args []string) {
	if args[0] == "start" {
		startCloud(ts, args[1:])
		return
	}
	stored, _ := clouds.Load(ts.Getenv("WORK"))
	cloud, name := stored.(*sandbox.Cloud), args[1]
	counts := cloud.Counts().Jobs[testProject+"/"+name]
	switch args[0] {
	case "job":
		job := sandbox.Job{Name: name, File: sandbox.File{Rows: 1000, Codec: "zstd"}}
		ts.Check(set(&job, args[2:]))
		cloud.AddJob(testProject, job)
	case "change":
		cloud.Update(testProject, name, func(job *sandbox.Job) { ts.Check(set(job, args[2:])) })
	case "url":
		setURL(ts, cloud.URL(ts.Getenv("ENDPOINT"), testProject, name))
	case "asked":
		expect(ts, neg, args, counts.Gets)
	case "called":
		expect(ts, neg, args, cloud.Counts().Calls[name])
	case "sent":
		expect(ts, neg, args, counts.Requests)
	default:
		ts.Fatalf("cloud %s: no such thing", args[0])
	}
}

func startCloud(ts *testscript.TestScript, token []string) {
	o := sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret, SecurityToken: strings.Join(token, "")}
	cloud := sandbox.New(o)
	cloud.AddProject(testProject)
	endpoint, stop, err := cloud.Start()
	ts.Check(err)
	ts.Defer(stop)
	clouds.Store(ts.Getenv("WORK"), cloud)
	ts.Setenv("ENDPOINT", endpoint)
	ts.Setenv("HOSTPORT", strings.TrimPrefix(endpoint, "http://"))
	ts.Setenv("JOBS", "sls://cn-hangzhou/"+testProject)
	ts.Setenv("TALLYMAN_ENDPOINT_SLS", endpoint)
	ts.Setenv("TALLYMAN_ALLOW_HOST", ts.Getenv("HOSTPORT"))
}

func setURL(ts *testscript.TestScript, address string) {
	u, err := url.Parse(address)
	ts.Check(err)
	ts.Setenv("URL", address)
	ts.Setenv("SIGNATURE", u.Query().Get("Signature"))
	ts.Setenv("EXPIRES", u.Query().Get("Expires"))
}

func expect(ts *testscript.TestScript, neg bool, args []string, got int) {
	if (strconv.Itoa(got) == args[2]) == neg {
		ts.Fatalf("%s was %s %d times, want %s", args[1], args[0], got, args[2])
	}
}

// settings are what a script can say of a job.
var settings = map[string]func(*sandbox.Job, string) error{
	"statuses": func(j *sandbox.Job, s string) error { j.Statuses = strings.Split(s, ","); return nil },
	"error":    text(func(j *sandbox.Job) *string { return &j.Error }),
	"notice":   text(func(j *sandbox.Job) *string { return &j.Notice }),
	"declared": text(func(j *sandbox.Job) *string { return &j.DeclaredCompression }),
	"checksum": text(func(j *sandbox.Job) *string { return &j.CheckSum }),
	"filepath": text(func(j *sandbox.Job) *string { return &j.FilePath }),
	"bucket":   text(func(j *sandbox.Job) *string { return &j.Bucket }),
	"codec":    text(func(j *sandbox.Job) *string { return &j.File.Codec }),
	"format":   text(func(j *sandbox.Job) *string { return &j.File.Format }),
	"body": func(j *sandbox.Job, s string) error {
		body, err := strconv.Unquote(`"` + s + `"`)
		j.File.Body = []byte(body)
		return err
	},
	"created": func(j *sandbox.Job, s string) error {
		var w when
		err := w.Set(s)
		j.CreateTime = w.Time
		return err
	},
	"rows":      number(func(j *sandbox.Job) *int { return &j.File.Rows }),
	"throttles": number(func(j *sandbox.Job) *int { return &j.Throttles }),
	"busy":      number(func(j *sandbox.Job) *int { return &j.File.Faults.Busy }),
	"expire":    number(func(j *sandbox.Job) *int { return &j.File.Faults.ExpireAfter.Requests }),
	"logcount":  count(func(j *sandbox.Job) **int64 { return &j.LogCount }),
	"filesize":  count(func(j *sandbox.Job) **int64 { return &j.FileSize }),
	"flip":      times(func(j *sandbox.Job, at int64, n int) { j.File.Faults.Flip = sandbox.Flip{At: at, Times: n} }),
	"cut":       times(func(j *sandbox.Job, at int64, n int) { j.File.Faults.Cut = sandbox.Cut{After: at, Times: n} }),
	"without": func(j *sandbox.Job, s string) error {
		f := &j.File.Faults
		for _, what := range strings.Split(s, ",") {
			*map[string]*bool{"range": &f.NoRange, "etag": &f.NoETag, "crc": &f.NoCRC, "md5": &f.NoMD5, "length": &f.NoLength}[what] = true
		}
		return nil
	},
}

func set(job *sandbox.Job, pairs []string) error {
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		setting, ok := settings[name]
		if !ok {
			return fmt.Errorf("no setting %s", name)
		}
		if err := setting(job, value); err != nil {
			return fmt.Errorf("%s: %w", pair, err)
		}
	}
	return nil
}

func text(field func(*sandbox.Job) *string) func(*sandbox.Job, string) error {
	return func(j *sandbox.Job, s string) error { *field(j) = s; return nil }
}

func number(field func(*sandbox.Job) *int) func(*sandbox.Job, string) (err error) {
	return func(j *sandbox.Job, s string) (err error) { *field(j), err = strconv.Atoi(s); return err }
}

func count(field func(*sandbox.Job) **int64) func(*sandbox.Job, string) error {
	return func(j *sandbox.Job, s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		*field(j) = &n
		return err
	}
}

// times reads AT*TIMES; AT alone is for ever.
func times(fault func(j *sandbox.Job, at int64, n int)) func(*sandbox.Job, string) error {
	return func(j *sandbox.Job, s string) error {
		at, n := int64(0), -1
		_, err := fmt.Sscanf(strings.ReplaceAll(s+"*-1", "*", " "), "%d %d", &at, &n)
		fault(j, at, n)
		return err
	}
}
