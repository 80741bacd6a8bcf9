package dms

import (
	"fmt"
	"iter"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// A download is what we read of the answer.
type download struct {
	Success      api.LenientString
	StatusResult struct {
		DownloadStatus api.LenientString
		DownloadURL    api.LenientString `json:"DownloadUrl"`
		StatusDesc     api.LenientString
		TotalCount     api.LenientString
	}
}

// readDownload goes by Success alone: a success may well have an ErrorCode of
// UnknownError.
func readDownload(a *api.Answer) (*download, error) {
	d := new(download)
	if err := api.Unmarshal(a.Body, d); err != nil || !d.Success.True() {
		return nil, acs.Refusal(a)
	}
	if d.StatusResult.DownloadStatus == "" {
		return nil, a.Refusal("", "the answer is not a download status: "+a.Excerpt(), fetch.ErrTemporary)
	}
	return d, nil
}

var states = map[string]fetch.State{
	"INIT":             fetch.Pending,
	"LISTING":          fetch.Running,
	"DOWNLOADING":      fetch.Running,
	"DOWNLOAD_SUCCESS": fetch.Ready,
	"DOWNLOAD_FAIL":    fetch.Failed,
}

func (d *download) export(a *api.Answer) *fetch.Export {
	status := string(d.StatusResult.DownloadStatus)
	export := &fetch.Export{
		State:     states[strings.ToUpper(status)],
		Status:    api.OneLine(status),
		Percent:   -1,
		RequestID: a.RequestID,
		Records:   d.StatusResult.TotalCount.Count(),
		Answer:    a.Scrubbed("DownloadUrl"),
	}
	if export.State == fetch.Failed {
		export.Message = api.OneLine(string(d.StatusResult.StatusDesc))
	}
	return export
}

// objects is the one file of a download that succeeded.
func (p *Provider) objects(ref fetch.Ref, d *download, a *api.Answer) (iter.Seq2[fetch.Object, error], error) {
	address := string(d.StatusResult.DownloadURL)
	name, ok := api.FileName(address, ref.Parts()[2])
	if !ok {
		return nil, &fetch.CallError{Call: a.Call, Message: "the download succeeded but has no URL", RequestID: a.RequestID, Kind: fetch.ErrNotFound}
	}
	source, err := p.Open(address)
	if err != nil {
		return nil, fmt.Errorf("open the file of %s: %w", ref, err)
	}
	object := fetch.Object{Name: name, Want: verify.NoPromise(), Source: source}
	return func(yield func(fetch.Object, error) bool) { yield(object, nil) }, nil
}
