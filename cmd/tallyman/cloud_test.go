package main

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tallyman/fetch/sandbox"
)

const (
	accessKeyID     = "test-key"
	accessKeySecret = "test-secret"
	authToken       = "test-token" // which DIS takes instead
	testProject     = "ali-test-project"
)

// clouds are those of the scripts that run, by the directory of each.
var clouds sync.Map

// cloudCommand drives the cloud of a script:
//
//	cloud start [TOKEN]               sets ENDPOINT, HOSTPORT and JOBS, where references begin
//	cloud job NAME SETTING...         adds a job, or replaces it
//	cloud change NAME SETTING...      changes one
//	cloud logstore NAME SETTING...    adds a log store, or changes it
//	cloud hour NAME LOGSTORE N [QUERY] adds a job of a log store for the hour that began N full hours ago
//	cloud month LOGSTORE SETTING...   adds jobs h720 to h1 for the hours of thirty days, but for gaps, and sets
//	                                  FROM and TO to these days; hours are numbers with commas, and HN is when
//	                                  the hour N of them began
//	cloud made LOGSTORE N,N...        for these hours of the month, and for no others, jobs were made since, one each,
//	                                  and no name was asked for with two configurations
//	cloud instance NAME SETTING...    says how an instance of DBS tells of its tasks
//	cloud task INSTANCE/ID SETTING... adds a download task of DBS, or replaces it
//	cloud dump ID SETTING...          adds a dump task of DIS, or replaces it
//	cloud delivery ID/NAME SETTING... adds a file to one
//	cloud object BUCKET/KEY SETTING... adds an object, or replaces it
//	cloud remove BUCKET/KEY           removes one
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
	switch args[0] {
	case "month":
		stageMonth(ts, cloud, name, args[2:])
		return
	case "made":
		expectMade(ts, cloud, name, args[2])
		return
	}
	if stage, ok := staged[args[0]]; ok {
		ts.Check(stage(cloud, name, args[2:]))
		return
	}
	all := cloud.Counts()
	counts := cmp.Or(all.Jobs[testProject+"/"+name], all.Tasks[name], all.Objects[name])
	switch args[0] {
	case "url":
		setURL(ts, cloud.JobURL(ts.Getenv("ENDPOINT"), testProject, name))
	case "asked":
		expect(ts, neg, args, counts.StatusCalls)
	case "called":
		expect(ts, neg, args, all.Calls[name])
	case "sent":
		expect(ts, neg, args, counts.Requests)
	default:
		ts.Fatalf("cloud %s: no such thing", args[0])
	}
}

// staged is what can be added to a cloud, or changed.
var staged = map[string]func(cloud *sandbox.Cloud, name string, pairs []string) error{
	"job": func(cloud *sandbox.Cloud, name string, pairs []string) error {
		job := sandbox.Job{Name: name, File: sandbox.File{Rows: 1000, Codec: "zstd"}}
		err := set(jobSettings, &job, &job.File, pairs)
		cloud.AddJob(testProject, job)
		return err
	},
	"change": func(cloud *sandbox.Cloud, name string, pairs []string) (err error) {
		cloud.UpdateJob(testProject, name, func(job *sandbox.Job) { err = set(jobSettings, job, &job.File, pairs) })
		return err
	},
	"logstore": func(cloud *sandbox.Cloud, name string, pairs []string) (err error) {
		change := func(l *sandbox.Logstore) { err = set(logstoreSettings, l, nil, pairs) }
		if !cloud.UpdateLogstore(testProject, name, change) {
			logstore := sandbox.Logstore{Name: name, RowsPerMinute: 2}
			change(&logstore)
			cloud.AddLogstore(testProject, logstore)
		}
		return err
	},
	"hour": func(cloud *sandbox.Cloud, name string, args []string) error {
		n, err := strconv.Atoi(args[1])
		job := sandbox.Job{Name: name, Logstore: args[0], FromTime: hoursAgo(n), ToTime: hoursAgo(n - 1), Query: strings.Join(args[2:], " ")}
		if !cloud.CreateJob(testProject, job) {
			return fmt.Errorf("no job %s of %s", name, args[0])
		}
		return err
	},
	"instance": func(cloud *sandbox.Cloud, name string, pairs []string) error {
		var instance sandbox.Instance
		err := set(instanceSettings, &instance, nil, pairs)
		cloud.AddInstance(name, instance)
		return err
	},
	"task": func(cloud *sandbox.Cloud, name string, pairs []string) error {
		instance, id, _ := strings.Cut(name, "/")
		task := sandbox.Task{ID: id, File: sandbox.File{Rows: 1000, Codec: "gzip"}}
		err := set(taskSettings, &task, &task.File, pairs)
		cloud.AddTask(instance, task)
		return err
	},
	"dump": func(cloud *sandbox.Cloud, name string, pairs []string) error {
		dump := sandbox.DumpTask{ID: name, Bucket: "landing"}
		err := set(dumpSettings, &dump, nil, pairs)
		cloud.AddDumpTask(dump)
		return err
	},
	"delivery": func(cloud *sandbox.Cloud, name string, pairs []string) error {
		id, file, _ := strings.Cut(name, "/")
		delivery := delivered(time.Now().Add(-time.Hour))
		delivery.Name, delivery.File.Rows = file, 1000
		err := set(deliverySettings, &delivery, &delivery.File, pairs)
		cloud.UpdateDumpTask(id, func(t *sandbox.DumpTask) { t.Deliveries = append(t.Deliveries, delivery) })
		return err
	},
	"remove": func(cloud *sandbox.Cloud, name string, _ []string) error {
		bucket, key, _ := strings.Cut(name, "/")
		cloud.RemoveObject(bucket, key)
		return nil
	},
	"object": func(cloud *sandbox.Cloud, name string, pairs []string) error {
		bucket, key, _ := strings.Cut(name, "/")
		file := sandbox.File{Rows: 1000}
		err := set(fileSettings, &file, nil, pairs)
		cloud.AddObject(bucket, key, file)
		return err
	},
}

// stageMonth adds jobs for the hours of thirty days. Of a log store gaps have none, that of
// lossy leaves rows out, the file of that of gone is not there, and rows of late arrive when the
// jobs have been made. All is counted from one time, whatever the clock does meanwhile, and is due by now.
func stageMonth(ts *testscript.TestScript, cloud *sandbox.Cloud, logstore string, pairs []string) {
	const hours = 30 * 24
	to, is := hoursAgo(3), map[string]map[int]bool{}
	for _, pair := range pairs {
		what, list, _ := strings.Cut(pair, "=")
		is[what] = map[int]bool{}
		for text := range strings.SplitSeq(list, ",") {
			n, err := strconv.Atoi(text)
			ts.Check(err)
			is[what][n] = true
			ts.Setenv("H"+text, to.Add(time.Duration(-n)*time.Hour).Format(time.RFC3339))
		}
	}
	hour := func(n int) time.Time { return to.Add(time.Duration(-n) * time.Hour) }
	l := sandbox.Logstore{Name: logstore, RowsPerMinute: 1, JobFaults: map[int64]sandbox.JobFaults{}}
	for n := range is["lossy"] {
		l.JobFaults[hour(n).Unix()] = sandbox.JobFaults{DropPercent: 1}
	}
	for n := range is["gone"] {
		l.JobFaults[hour(n).Unix()] = sandbox.JobFaults{Gone: 1}
	}
	cloud.AddLogstore(testProject, l)
	for n := hours; n > 0; n-- {
		job := sandbox.Job{Name: fmt.Sprintf("h%d", n), Logstore: logstore, FromTime: hour(n), ToTime: hour(n - 1)}
		if !is["gaps"][n] && !cloud.CreateJob(testProject, job) {
			ts.Fatalf("no job of %s", logstore)
		}
	}
	cloud.UpdateLogstore(testProject, logstore, func(l *sandbox.Logstore) {
		for n := range is["late"] {
			l.Late = append(l.Late, sandbox.LateRows{Time: hour(n).Add(time.Minute), Rows: 7})
		}
	})
	ts.Setenv("FROM", hour(hours).Format(time.RFC3339))
	ts.Setenv("TO", to.Format(time.RFC3339))
}

func expectMade(ts *testscript.TestScript, cloud *sandbox.Cloud, logstore, hours string) {
	to, err := time.Parse(time.RFC3339, ts.Getenv("TO"))
	ts.Check(err)
	creations := cloud.Creations(testProject)
	ts.Check(sameConfigurations(creations))
	var made []string
	for _, c := range creations {
		if c.Refused == "" && c.Logstore == logstore {
			made = append(made, strconv.Itoa(int(to.Sub(c.FromTime).Hours())))
		}
	}
	want := strings.Split(hours, ",")
	slices.Sort(want)
	if slices.Sort(made); !slices.Equal(made, want) {
		ts.Fatalf("jobs were made for the hours %v, want %v", made, want)
	}
}

// sameConfigurations fails if a job of one name was asked for with two configurations.
func sameConfigurations(creations []sandbox.Creation) error {
	first := map[string]string{}
	for _, c := range creations {
		if before, ok := first[c.Name]; ok && before != c.Configuration {
			return fmt.Errorf("%s was asked for as %s and as %s", c.Name, before, c.Configuration)
		}
		first[c.Name] = c.Configuration
	}
	return nil
}

func startCloud(ts *testscript.TestScript, token []string) {
	cloud := sandbox.New(sandbox.Options{
		AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret, SecurityToken: strings.Join(token, ""), AuthToken: authToken,
	})
	cloud.AddProject(testProject)
	endpoint, stop, err := cloud.Start()
	ts.Check(err)
	ts.Defer(stop)
	clouds.Store(ts.Getenv("WORK"), cloud)
	ts.Setenv("ENDPOINT", endpoint)
	ts.Setenv("HOSTPORT", strings.TrimPrefix(endpoint, "http://"))
	ts.Setenv("JOBS", "sls://cn-hangzhou/"+testProject)
	for _, name := range []string{"SLS", "DBS", "DIS", "OBS"} {
		ts.Setenv("TALLYMAN_ENDPOINT_"+name, endpoint)
	}
	ts.Setenv("TALLYMAN_ALLOW_HOST", ts.Getenv("HOSTPORT"))
	ts.Setenv("HUAWEICLOUD_SDK_AK", accessKeyID)
	ts.Setenv("HUAWEICLOUD_SDK_SK", accessKeySecret)
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
