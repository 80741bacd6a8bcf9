package sls

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// A job is what we read of one, as GetDownloadJob and ListDownloadJobs tell it.
type job struct {
	Name          api.Loose `json:"name"`
	Status        api.Loose `json:"status"`
	CreateTime    api.Loose `json:"createTime"`
	Configuration struct {
		AllowInComplete api.Loose `json:"allowInComplete"`
		Sink            struct {
			ContentType api.Loose `json:"contentType"`
			Compression api.Loose `json:"compressionType"`
			Bucket      api.Loose `json:"bucket"`
			Prefix      api.Loose `json:"prefix"`
		} `json:"sink"`
	} `json:"configuration"`
	ExecutionDetails struct {
		Progress     api.Loose `json:"progress"`
		FilePath     api.Loose `json:"filePath"`
		FileSize     api.Loose `json:"fileSize"`
		LogCount     api.Loose `json:"logCount"`
		ErrorMessage api.Loose `json:"errorMessage"`
		CheckSum     api.Loose `json:"checkSum"`
		Notice       api.Loose `json:"notice"`
	} `json:"executionDetails"`
}

func readJob(a *api.Answer) (*job, error) {
	j := new(job)
	if err := api.Unmarshal(a.Body, j); err != nil || j.Status == "" {
		return nil, refusal(a, "", "the answer is not a download job: "+a.Excerpt())
	}
	return j, nil
}

var states = map[string]fetch.State{
	"STARTING":  fetch.Pending,
	"RUNNING":   fetch.Running,
	"SUCCEEDED": fetch.Ready,
	"ERROR":     fetch.Failed,
}

func (j *job) state() fetch.State { return states[strings.ToUpper(string(j.Status))] }

func (j *job) export(a *api.Answer) *fetch.Export {
	export := &fetch.Export{
		State:     j.state(),
		Status:    a.Line(string(j.Status)),
		Message:   a.Line(string(j.ExecutionDetails.ErrorMessage)),
		Percent:   int(j.ExecutionDetails.Progress.Count()),
		RequestID: a.RequestID,
		Records:   j.ExecutionDetails.LogCount.Count(),
		Answer:    a.Scrubbed("filePath"),
	}
	if export.State == fetch.Ready {
		export.Doubts = j.doubts(a.Line)
	}
	return export
}

// manyLogs is a count of logs at which results are known to be cut.
const manyLogs = 1_000_000

func (j *job) doubts(line func(string) string) (doubts []string) {
	notice := line(string(j.ExecutionDetails.Notice))
	progress := j.ExecutionDetails.Progress.Count()
	for _, doubt := range []struct {
		holds bool
		text  string
	}{
		{j.Configuration.AllowInComplete.True(), "the job allows incomplete data"},
		{notice != "", "notice: " + notice},
		{progress != verify.Unknown && progress < 100, fmt.Sprintf("the job succeeded at %d%%", progress)},
		{j.ExecutionDetails.LogCount.Count() == manyLogs, fmt.Sprintf("logCount is exactly %d, as if cut there", manyLogs)},
	} {
		if doubt.holds {
			doubts = append(doubts, doubt.text)
		}
	}
	return doubts
}

// year10000 is where times end that can be written down, in seconds.
const year10000 = 253402300800

// created is when the job was created, or zero where that can't be read: it is
// text that holds a number of seconds.
func (j *job) created() time.Time {
	seconds := j.CreateTime.Count()
	if seconds <= 0 || seconds >= year10000 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

// hasURL reports whether the result is one file with a URL, even if there is a
// bucket too.
func (j *job) hasURL() bool {
	_, ok := api.FileName(string(j.ExecutionDetails.FilePath), "")
	return ok
}

// objects are what a job that succeeded yielded.
func (p *Provider) objects(ctx context.Context, ref fetch.Ref, j *job, a *api.Answer) (iter.Seq2[fetch.Object, error], error) {
	switch {
	case j.hasURL():
		return p.file(ref, j)
	case j.Configuration.Sink.Bucket != "":
		return p.sunk(ctx, ref, j)
	}
	return nil, &fetch.CallError{Call: a.Call, Message: "the job succeeded but names no file", RequestID: a.RequestID, Kind: fetch.ErrNotFound}
}

// file is the one file of a job that has a URL.
func (p *Provider) file(ref fetch.Ref, j *job) (iter.Seq2[fetch.Object, error], error) {
	address := string(j.ExecutionDetails.FilePath)
	source, err := p.Open(address)
	if err != nil {
		return nil, fmt.Errorf("open the file of %s: %w", ref, err)
	}
	name, _ := api.FileName(address, ref.Parts()[2])
	object := fetch.Object{Name: name, Content: j.content(), Encoding: j.coded(), Want: j.want(), Source: source}
	return func(yield func(fetch.Object, error) bool) { yield(object, nil) }, nil
}

func (j *job) content() string {
	return map[string]string{"csv": "csv", "json": "json"}[strings.ToLower(string(j.Configuration.Sink.ContentType))]
}

func (j *job) coded() string { return strings.ToLower(string(j.Configuration.Sink.Compression)) }

// want is what the job promises of its file. A size of 0 is how the service
// says that it doesn't know.
func (j *job) want() verify.Want {
	want := verify.NoPromise()
	if size := j.ExecutionDetails.FileSize.Count(); size > 0 {
		want.Size = size
	}
	want.ETag = string(j.ExecutionDetails.CheckSum)
	return want
}
