package sls

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"path"
	"strconv"
	"strings"

	"tallyman/fetch"
	"tallyman/verify"
)

// A job is what we read of GetDownloadJob's answer.
type job struct {
	Status        loose `json:"status"`
	Configuration struct {
		AllowInComplete loose `json:"allowInComplete"`
		Sink            struct {
			ContentType loose `json:"contentType"`
			Bucket      loose `json:"bucket"`
			Prefix      loose `json:"prefix"`
		} `json:"sink"`
	} `json:"configuration"`
	ExecutionDetails struct {
		Progress     loose `json:"progress"`
		FilePath     loose `json:"filePath"`
		FileSize     loose `json:"fileSize"`
		LogCount     loose `json:"logCount"`
		ErrorMessage loose `json:"errorMessage"`
		CheckSum     loose `json:"checkSum"`
		Notice       loose `json:"notice"`
	} `json:"executionDetails"`
}

// loose is the trimmed text of a string, a number or a bool, and "" for
// anything else.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*l = loose(strings.TrimSpace(s))
	} else if b[0] != '{' && b[0] != '[' {
		*l = loose(b)
	}
	return nil
}

// count is the whole number that l holds, or verify.Unknown.
func (l loose) count() int64 {
	n, err := strconv.ParseUint(string(l), 10, 63)
	if err != nil {
		return verify.Unknown
	}
	return int64(n)
}

// unmarshal decodes what it can: a value of another type than v has is left
// out.
func unmarshal(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if other := new(json.UnmarshalTypeError); errors.As(err, &other) {
		return nil
	}
	return err
}

func (a *answer) job() (*job, error) {
	j := new(job)
	if err := unmarshal(a.body, j); err != nil || j.Status == "" {
		return nil, a.refusal("", "the answer is not a download job: "+a.excerpt())
	}
	return j, nil
}

var states = map[string]fetch.State{
	"STARTING":  fetch.Pending,
	"RUNNING":   fetch.Running,
	"SUCCEEDED": fetch.Ready,
	"ERROR":     fetch.Failed,
}

func (j *job) export(a *answer) *fetch.Export {
	export := &fetch.Export{
		State:     states[strings.ToUpper(string(j.Status))],
		Status:    string(j.Status),
		Message:   a.clean(string(j.ExecutionDetails.ErrorMessage)),
		Percent:   int(j.ExecutionDetails.Progress.count()),
		RequestID: a.requestID(),
		Records:   j.ExecutionDetails.LogCount.count(),
		Answer:    a.scrubbed(),
	}
	if export.State == fetch.Ready {
		export.Doubts = j.doubts(a.clean)
	}
	return export
}

// manyLogs is a count of logs at which results are known to be cut.
const manyLogs = 1_000_000

func (j *job) doubts(clean func(string) string) (doubts []string) {
	notice := clean(string(j.ExecutionDetails.Notice))
	progress := j.ExecutionDetails.Progress.count()
	for _, doubt := range []struct {
		holds bool
		text  string
	}{
		{strings.EqualFold(string(j.Configuration.AllowInComplete), "true"), "the job allows incomplete data"},
		{notice != "", "notice: " + notice},
		{progress != verify.Unknown && progress < 100, fmt.Sprintf("the job succeeded at %d%%", progress)},
		{j.ExecutionDetails.LogCount.count() == manyLogs, fmt.Sprintf("logCount is exactly %d, as if cut there", manyLogs)},
	} {
		if doubt.holds {
			doubts = append(doubts, doubt.text)
		}
	}
	return doubts
}

// objects is the one file of a job that succeeded.
func (p *Provider) objects(ref fetch.Ref, j *job, a *answer) (iter.Seq2[fetch.Object, error], error) {
	address := string(j.ExecutionDetails.FilePath)
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, j.fileless(ref, a)
	}
	source, err := p.Open(address)
	if err != nil {
		return nil, fmt.Errorf("open the file of %s: %w", ref, err)
	}
	object := fetch.Object{Name: fileName(u, ref), Content: j.content(), Want: j.want(), Source: source}
	return func(yield func(fetch.Object, error) bool) { yield(object, nil) }, nil
}

// fileless is the error of a job that succeeded without a URL.
func (j *job) fileless(ref fetch.Ref, a *answer) error {
	sink := j.Configuration.Sink
	if sink.Bucket != "" {
		return fmt.Errorf("export %s: results in a bucket of one's own are not supported yet by this version: bucket %s, prefix %q: %w",
			ref, sink.Bucket, sink.Prefix, errors.ErrUnsupported)
	}
	return &fetch.CallError{Call: a.call, Message: "the job succeeded but names no file", RequestID: a.requestID(), Kind: fetch.ErrNotFound}
}

// fileName is the last segment of the URL's path, or the job's name where
// there is none.
func fileName(u *url.URL, ref fetch.Ref) string {
	switch name := path.Base(u.Path); name {
	case ".", "..", "/":
		return ref.Parts()[2]
	default:
		return name
	}
}

func (j *job) content() string {
	return map[string]string{"csv": "csv", "json": "json"}[strings.ToLower(string(j.Configuration.Sink.ContentType))]
}

// want is what the job promises of its file. A size of 0 is how the service
// says that it doesn't know.
func (j *job) want() verify.Want {
	want := verify.Nothing()
	if size := j.ExecutionDetails.FileSize.count(); size > 0 {
		want.Size = size
	}
	want.ETag = string(j.ExecutionDetails.CheckSum)
	return want
}

// scrubbed is the answer as it came, without its secrets.
func (a *answer) scrubbed() any {
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil
	}
	return scrub("", v, a.clean)
}

// scrub cleans each text in the value of that name, and leaves of a filePath
// nothing that could be its query.
func scrub(name string, v any, clean func(string) string) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = scrub(k, v[k], clean)
		}
	case []any:
		for i := range v {
			v[i] = scrub(name, v[i], clean)
		}
	case string:
		if i := strings.IndexAny(v, "?#"); i >= 0 && strings.EqualFold(name, "filePath") {
			v = v[:i]
		}
		return clean(v)
	}
	return v
}
