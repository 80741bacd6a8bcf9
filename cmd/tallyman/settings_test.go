package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch/sandbox"
)

// settings are what a script can say of one kind of thing.
type settings[T any] map[string]func(*T, string) error

// set makes those settings, of the thing or of its file, each NAME=VALUE.
func set[T any](known settings[T], thing *T, file *sandbox.File, pairs []string) error {
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if err := setOne(known, thing, file, name, value); err != nil {
			return fmt.Errorf("%s: %w", pair, err)
		}
	}
	return nil
}

func setOne[T any](known settings[T], thing *T, file *sandbox.File, name, value string) error {
	if setting, ok := known[name]; ok {
		return setting(thing, value)
	}
	if setting, ok := fileSettings[name]; ok && file != nil {
		return setting(file, value)
	}
	return fmt.Errorf("no setting %s", name)
}

var fileSettings = settings[sandbox.File]{
	"codec":  text(func(f *sandbox.File) *string { return &f.Codec }),
	"format": text(func(f *sandbox.File) *string { return &f.Format }),
	"class":  text(func(f *sandbox.File) *string { return &f.StorageClass }),
	"body": func(f *sandbox.File, s string) error {
		body, err := strconv.Unquote(`"` + s + `"`)
		f.Body = []byte(body)
		return err
	},
	"modified": moment(func(f *sandbox.File) *time.Time { return &f.LastModified }),
	"rows":     number(func(f *sandbox.File) *int { return &f.Rows }),
	"busy":     number(func(f *sandbox.File) *int { return &f.Faults.Busy }),
	"expire":   number(func(f *sandbox.File) *int { return &f.Faults.ExpireAfter.Requests }),
	"slow": func(f *sandbox.File, s string) (err error) {
		f.Faults.SlowBytesPerSecond, err = strconv.ParseInt(s, 10, 64)
		return err
	},
	"flip": times(func(f *sandbox.File, at int64, n int) { f.Faults.Flip = sandbox.Flip{At: at, Times: n} }),
	"cut":  times(func(f *sandbox.File, at int64, n int) { f.Faults.Cut = sandbox.Cut{After: at, Times: n} }),
	"without": func(file *sandbox.File, s string) error {
		f := &file.Faults
		for _, what := range strings.Split(s, ",") {
			*map[string]*bool{"range": &f.NoRange, "etag": &f.NoETag, "crc": &f.NoCRC, "md5": &f.NoMD5, "length": &f.NoLength}[what] = true
		}
		return nil
	},
}

var jobSettings = settings[sandbox.Job]{
	"statuses":  texts(func(j *sandbox.Job) *[]string { return &j.Statuses }),
	"error":     text(func(j *sandbox.Job) *string { return &j.Error }),
	"notice":    text(func(j *sandbox.Job) *string { return &j.Notice }),
	"declared":  text(func(j *sandbox.Job) *string { return &j.DeclaredCompression }),
	"checksum":  text(func(j *sandbox.Job) *string { return &j.CheckSum }),
	"filepath":  text(func(j *sandbox.Job) *string { return &j.FilePath }),
	"bucket":    text(func(j *sandbox.Job) *string { return &j.Bucket }),
	"logstore":  text(func(j *sandbox.Job) *string { return &j.Logstore }),
	"query":     text(func(j *sandbox.Job) *string { return &j.Query }),
	"from":      moment(func(j *sandbox.Job) *time.Time { return &j.FromTime }),
	"to":        moment(func(j *sandbox.Job) *time.Time { return &j.ToTime }),
	"created":   moment(func(j *sandbox.Job) *time.Time { return &j.CreateTime }),
	"throttles": number(func(j *sandbox.Job) *int { return &j.Throttles }),
	"logcount":  count(func(j *sandbox.Job) **int64 { return &j.LogCount }),
	"filesize":  count(func(j *sandbox.Job) **int64 { return &j.FileSize }),
}

var logstoreSettings = settings[sandbox.Logstore]{
	"rows":       number(func(l *sandbox.Logstore) *int { return &l.RowsPerMinute }),
	"ttl":        number(func(l *sandbox.Logstore) *int { return &l.TTL }),
	"incomplete": number(func(l *sandbox.Logstore) *int { return &l.Incomplete }),
	"indexed":    moment(func(l *sandbox.Logstore) *time.Time { return &l.IndexedSince }),
	"fields": func(l *sandbox.Logstore, names string) error {
		l.Fields = strings.Split(names, ",")
		return nil
	},
	"message": func(l *sandbox.Logstore, text string) error { l.Message = text; return nil },
	"header": func(l *sandbox.Logstore, has string) error {
		l.NoHeader = has == "no"
		return nil
	},
	"loses": faulty(func(f *sandbox.JobFaults) { f.Lose = 1 }),
	"drops": faulty(func(f *sandbox.JobFaults) { f.DropPercent = 1 }),
	"fails": faulty(func(f *sandbox.JobFaults) { f.Fail++ }),
	"gone":  faulty(func(f *sandbox.JobFaults) { f.Gone++ }),
	"late": func(l *sandbox.Logstore, hours string) error {
		n, err := strconv.Atoi(hours)
		l.Late = append(l.Late, sandbox.LateRows{Time: hoursAgo(n).Add(time.Minute), Rows: 7})
		return err
	},
}

// hoursAgo is the beginning of an hour.
func hoursAgo(n int) time.Time {
	return time.Now().UTC().Truncate(time.Hour).Add(time.Duration(-n) * time.Hour)
}

// faulty sets a fault of the jobs for the hour that began so many full hours ago.
func faulty(change func(*sandbox.JobFaults)) func(*sandbox.Logstore, string) error {
	return func(l *sandbox.Logstore, hours string) error {
		n, err := strconv.Atoi(hours)
		if l.JobFaults == nil {
			l.JobFaults = map[int64]sandbox.JobFaults{}
		}
		faults := l.JobFaults[hoursAgo(n).Unix()]
		change(&faults)
		l.JobFaults[hoursAgo(n).Unix()] = faults
		return err
	}
}

var instanceSettings = settings[sandbox.Instance]{
	"pagesize":  number(func(i *sandbox.Instance) *int { return &i.PageSize }),
	"throttles": number(func(i *sandbox.Instance) *int { return &i.Throttles }),
	"region":    text(func(i *sandbox.Instance) *string { return &i.Region }),
}

var taskSettings = settings[sandbox.Task]{
	"statuses":  texts(func(t *sandbox.Task) *[]string { return &t.Statuses }),
	"progress":  text(func(t *sandbox.Task) *string { return &t.Progress }),
	"bucket":    text(func(t *sandbox.Task) *string { return &t.Bucket }),
	"path":      text(func(t *sandbox.Task) *string { return &t.Path }),
	"public":    text(func(t *sandbox.Task) *string { return &t.PublicURL }),
	"private":   text(func(t *sandbox.Task) *string { return &t.PrivateURL }),
	"created":   moment(func(t *sandbox.Task) *time.Time { return &t.CreateTime }),
	"throttles": number(func(t *sandbox.Task) *int { return &t.Throttles }),
}

var dumpSettings = settings[sandbox.DumpTask]{
	"bucket":      text(func(t *sandbox.DumpTask) *string { return &t.Bucket }),
	"prefix":      text(func(t *sandbox.DumpTask) *string { return &t.Prefix }),
	"partition":   text(func(t *sandbox.DumpTask) *string { return &t.Partition }),
	"compression": text(func(t *sandbox.DumpTask) *string { return &t.Compression }),
	"throttles":   number(func(t *sandbox.DumpTask) *int { return &t.Throttles }),
	"hourly": func(t *sandbox.DumpTask, s string) error { // so many files, the first an hour ago
		n, err := strconv.Atoi(s)
		for i := range n {
			d := delivered(time.Now().Add(-time.Duration(i+1) * time.Hour))
			d.Number, d.File.Rows = i+1, 1
			t.Deliveries = append(t.Deliveries, d)
		}
		return err
	},
}

var deliverySettings = settings[sandbox.Delivery]{
	"running": number(func(d *sandbox.Delivery) *int { return &d.RunningCalls }),
	"state":   number(func(d *sandbox.Delivery) *int { return &d.State }),
	"bytes":   count(func(d *sandbox.Delivery) **int64 { return &d.Bytes }),
	"records": count(func(d *sandbox.Delivery) **int64 { return &d.Records }),
}

// delivered is a delivery that took a minute.
func delivered(start time.Time) sandbox.Delivery {
	return sandbox.Delivery{Start: start, End: start.Add(time.Minute)}
}

func text[T any](field func(*T) *string) func(*T, string) error {
	return func(thing *T, s string) error { *field(thing) = s; return nil }
}

// texts reads a list with commas.
func texts[T any](field func(*T) *[]string) func(*T, string) error {
	return func(thing *T, s string) error { *field(thing) = strings.Split(s, ","); return nil }
}

func number[T any](field func(*T) *int) func(*T, string) (err error) {
	return func(thing *T, s string) (err error) { *field(thing), err = strconv.Atoi(s); return err }
}

func count[T any](field func(*T) **int64) func(*T, string) error {
	return func(thing *T, s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		*field(thing) = &n
		return err
	}
}

// moment reads a time as --since does.
func moment[T any](field func(*T) *time.Time) func(*T, string) error {
	return func(thing *T, s string) error {
		t, err := flagvalue.ParseTime(s)
		*field(thing) = t
		return err
	}
}

// times reads AT*TIMES; AT alone is for ever.
func times[T any](fault func(thing *T, at int64, n int)) func(*T, string) error {
	return func(thing *T, s string) error {
		at, n := int64(0), -1
		_, err := fmt.Sscanf(strings.ReplaceAll(s+"*-1", "*", " "), "%d %d", &at, &n)
		fault(thing, at, n)
		return err
	}
}
