package sls

import (
	"fmt"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// A listedJob is what we read of a job from ListDownloadJobs.
type listedJob struct {
	Name       api.LenientString `json:"name"`
	Status     api.LenientString `json:"status"`
	CreateTime api.LenientString `json:"createTime"` // seconds since 1970
}

// A job is what we read of one from GetDownloadJob.
type job struct {
	listedJob
	Description   api.LenientString `json:"description"`
	Configuration struct {
		LogStore        api.LenientString `json:"logstore"`
		FromTime        api.LenientString `json:"fromTime"` // seconds since 1970
		ToTime          api.LenientString `json:"toTime"`   // likewise: the first that is not asked for
		Query           api.LenientString `json:"query"`
		AllowInComplete api.LenientString `json:"allowInComplete"`
		Sink            struct {
			ContentType api.LenientString `json:"contentType"`
			Compression api.LenientString `json:"compressionType"`
			Bucket      api.LenientString `json:"bucket"`
			Prefix      api.LenientString `json:"prefix"`
		} `json:"sink"`
	} `json:"configuration"`
	ExecutionDetails struct {
		Progress     api.LenientString `json:"progress"` // percent
		FilePath     api.LenientString `json:"filePath"` // a signed URL
		FileSize     api.LenientString `json:"fileSize"` // bytes
		LogCount     api.LenientString `json:"logCount"`
		ErrorMessage api.LenientString `json:"errorMessage"`
		CheckSum     api.LenientString `json:"checkSum"` // the ETag of the file
		Notice       api.LenientString `json:"notice"`
	} `json:"executionDetails"`
}

// states are the words of the field status, in capitals. An unknown word is no state.
var states = map[string]fetch.State{
	"STARTING":  fetch.Pending,
	"RUNNING":   fetch.Running,
	"SUCCEEDED": fetch.Ready,
	"ERROR":     fetch.Failed,
}

// cutAt is a logCount at which results are known to be cut.
const cutAt = 1_000_000

// export returns what the job says of itself, without its objects. If it
// succeeded, the Doubts are reasons to think that its result is not all of what
// was asked for.
func (j *job) export(a *api.Answer) *fetch.Export {
	export := &fetch.Export{
		State:     states[strings.ToUpper(string(j.Status))],
		Status:    api.OneLine(string(j.Status)),
		Message:   api.OneLine(string(j.ExecutionDetails.ErrorMessage)),
		Percent:   int(j.ExecutionDetails.Progress.Count()),
		RequestID: a.RequestID,
		Endpoint:  a.Host,
		Records:   j.ExecutionDetails.LogCount.Count(),
		Answer:    a.Scrubbed("filePath"),
	}
	if export.State != fetch.Ready {
		return export
	}
	if j.Configuration.AllowInComplete.True() {
		export.Doubts = append(export.Doubts, "the job allows incomplete data")
	}
	if notice := api.OneLine(string(j.ExecutionDetails.Notice)); notice != "" {
		export.Doubts = append(export.Doubts, "notice: "+notice)
	}
	if progress := j.ExecutionDetails.Progress.Count(); progress != verify.Unknown && progress < 100 {
		export.Doubts = append(export.Doubts, fmt.Sprintf("the job succeeded at %d%%", progress))
	}
	if export.Records == cutAt {
		export.Doubts = append(export.Doubts, fmt.Sprintf("logCount is exactly %d, as if cut there", cutAt))
	}
	return export
}

// window returns the time that a job was asked for, or nil if it does not say. The
// windows of one log store and query are one group.
func (j *job) window(ref fetch.Ref) *fetch.Window {
	c := j.Configuration
	from, to := c.FromTime.Seconds(), c.ToTime.Seconds()
	if from.IsZero() || !from.Before(to) || c.LogStore == "" {
		return nil
	}
	place, _ := ref.Place()
	return &fetch.Window{Place: place, Group: WindowGroup(string(c.LogStore), string(c.Query)), From: from, To: to}
}

// answeredWindow is the window of a job by the answer that a receipt keeps of it.
func answeredWindow(ref fetch.Ref, answer []byte) *fetch.Window {
	j := new(job)
	if err := api.Unmarshal(answer, j); err != nil {
		return nil
	}
	return j.window(ref)
}

// contents maps contentType to what counts the records.
var contents = map[string]string{"csv": "csv", "json": "json"}

// declare adds to an object what the job says of its content: contentType and
// compressionType.
func (j *job) declare(object fetch.Object) fetch.Object {
	object.Content = contents[strings.ToLower(string(j.Configuration.Sink.ContentType))]
	object.Encoding = strings.ToLower(string(j.Configuration.Sink.Compression))
	return object
}
