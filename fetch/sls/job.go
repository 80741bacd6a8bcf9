package sls

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// A job is what we read of one, as GetDownloadJob and ListDownloadJobs tell it.
type job struct {
	Name          api.LenientString `json:"name"`
	Status        api.LenientString `json:"status"`
	CreateTime    api.LenientString `json:"createTime"`
	Configuration struct {
		AllowInComplete api.LenientString `json:"allowInComplete"`
		Sink            struct {
			ContentType api.LenientString `json:"contentType"`
			Compression api.LenientString `json:"compressionType"`
			Bucket      api.LenientString `json:"bucket"`
			Prefix      api.LenientString `json:"prefix"`
		} `json:"sink"`
	} `json:"configuration"`
	ExecutionDetails struct {
		Progress     api.LenientString `json:"progress"`
		FilePath     api.LenientString `json:"filePath"`
		FileSize     api.LenientString `json:"fileSize"`
		LogCount     api.LenientString `json:"logCount"`
		ErrorMessage api.LenientString `json:"errorMessage"`
		CheckSum     api.LenientString `json:"checkSum"`
		Notice       api.LenientString `json:"notice"`
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
		Status:    api.OneLine(string(j.Status)),
		Message:   api.OneLine(string(j.ExecutionDetails.ErrorMessage)),
		Percent:   int(j.ExecutionDetails.Progress.Count()),
		RequestID: a.RequestID,
		Records:   j.ExecutionDetails.LogCount.Count(),
		Answer:    a.Scrubbed("filePath"),
	}
	if export.State == fetch.Ready {
		export.Doubts = j.doubts()
	}
	return export
}

// manyLogs is a count of logs at which results are known to be cut.
const manyLogs = 1_000_000

func (j *job) doubts() (doubts []string) {
	notice := api.OneLine(string(j.ExecutionDetails.Notice))
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
		return p.bucketObjects(ctx, ref, j)
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
