package sls

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

const createCall = "CreateDownloadJob"

// JobPrefix begins the names of the jobs that are made here.
const JobPrefix = "tallyman-"

// A newJob is the body of CreateDownloadJob.
type newJob struct {
	Name          string           `json:"name"`
	DisplayName   string           `json:"displayName"`
	Description   string           `json:"description"`
	Configuration newConfiguration `json:"configuration"`
}

type newConfiguration struct {
	LogStore        string  `json:"logstore"`
	FromTime        int64   `json:"fromTime"`
	ToTime          int64   `json:"toTime"`
	Query           string  `json:"query"`
	AllowInComplete bool    `json:"allowInComplete"`
	Sink            newSink `json:"sink"`
}

type newSink struct {
	Type        string `json:"type"`
	ContentType string `json:"contentType"`
	Compression string `json:"compressionType"`
}

// newRequest returns the job of a creation. Its name is a hash of where it is made and of
// what for, and the attempt.
func newRequest(c fetch.Creation) (*newJob, error) {
	logStore, query, err := SplitGroup(c.Group)
	if err != nil {
		return nil, fmt.Errorf("make a job of %s in %s: %w", c.Group, c.Place, err)
	}
	if c.Place.Scheme() != scheme || !c.Place.IsPlace() {
		return nil, fmt.Errorf("make a job in %s: not an SLS project", c.Place)
	}
	j := &newJob{Configuration: newConfiguration{
		LogStore: logStore, FromTime: c.From.Unix(), ToTime: c.To.Unix(), Query: query,
		Sink: newSink{Type: "AliyunOSS", ContentType: cmp.Or(c.Format, "csv"), Compression: cmp.Or(c.Compression, "zstd")},
	}}
	whole, err := json.Marshal(struct {
		Place, Instead string
		newConfiguration
	}{c.Place.String(), c.Instead, j.Configuration})
	if err != nil {
		return nil, err
	}
	hash := fmt.Sprintf("%x", sha256.Sum256(whole))[:32]
	j.Name = fmt.Sprintf("%s%s-%d", JobPrefix, hash, max(c.Attempt, 1))
	const layout = "2006-01-02T15:04:05Z"
	j.DisplayName = fmt.Sprintf("tallyman %s %s", logStore, c.From.UTC().Format(layout))
	j.Description = fmt.Sprintf("made by tallyman for %s to %s", c.From.UTC().Format(layout), c.To.UTC().Format(layout))
	if c.Maker != "" {
		j.Description += madeBy + c.Maker
	}
	return j, nil
}

// madeBy is what the Maker of a job follows in its description.
const madeBy = ", by "

// NewJob implements fetch.Creator.
func (p *Provider) NewJob(c fetch.Creation) (fetch.Ref, error) {
	j, err := newRequest(c)
	if err != nil {
		return fetch.Ref{}, err
	}
	return c.Place.Job(j.Name)
}

// Create implements fetch.Creator. A call whose answer got lost is made again, which finds
// the job that the first has made.
func (p *Provider) Create(ctx context.Context, c fetch.Creation) (ref fetch.Ref, isOwn bool, err error) {
	j, err := newRequest(c)
	if err != nil {
		return ref, false, err
	}
	if ref, err = c.Place.Job(j.Name); err != nil {
		return ref, false, err
	}
	body, err := json.Marshal(j)
	if err != nil {
		return ref, false, err
	}
	_, err = api.Retry(ctx, api.ServiceBackoff, createCall, func() (*api.Answer, error) {
		return p.send(ctx, createCall, c.Place, http.MethodPost, "/downloadjobs", body)
	})
	refused, isRefusal := errors.AsType[*fetch.CallError](err)
	switch {
	case err == nil:
		return ref, true, nil
	case isRefusal && existCodes[refused.Code]:
		description, err := p.compare(ctx, ref, j)
		return ref, c.Maker != "" && strings.HasSuffix(description, madeBy+c.Maker), err
	case isRefusal && kinds[refused.Code] == nil && smellsOfQuota(refused.Code):
		refused.Kind = fetch.ErrThrottled
	}
	return ref, false, err
}

// existCodes refuse a job since there is one of its name.
var existCodes = map[string]bool{"JobAlreadyExist": true, "JobAlreadyExists": true, "IdempotentParameterMismatch": true}

// smellsOfQuota reports whether a code may be one of the service's quotas, whose names are
// not published: a quota passes.
func smellsOfQuota(code string) bool {
	return slices.ContainsFunc([]string{"exceed", "quota", "limit"}, func(word string) bool { return strings.Contains(strings.ToLower(code), word) })
}

// compare asks for the job of a name, and fails with an ErrConflict unless it was made for
// the same. It returns how the job is described, which tells who has made it.
func (p *Provider) compare(ctx context.Context, ref fetch.Ref, want *newJob) (description string, err error) {
	a, err := api.Retry(ctx, api.ServiceBackoff, jobCall, func() (*api.Answer, error) { return p.call(ctx, jobCall, ref, jobPath(ref)) })
	if refused, ok := errors.AsType[*fetch.CallError](err); ok && errors.Is(err, fetch.ErrNotFound) {
		refused.Kind = fetch.ErrTemporary // since it was just said to exist
	}
	if err != nil {
		return "", err
	}
	got := new(job)
	if err := api.Unmarshal(a.Body, got); err != nil || got.Status == "" {
		return "", refusal(a, "", "the answer is not a download job: "+a.Excerpt())
	}
	is, wanted := got.Configuration, want.Configuration
	second := func(n int64) time.Time { return time.Unix(n, 0).UTC() }
	for _, part := range []struct {
		name        string
		same        bool
		got, wanted any
	}{
		{"logstore", string(is.LogStore) == wanted.LogStore, is.LogStore, wanted.LogStore},
		{"fromTime", is.FromTime.Seconds().Equal(second(wanted.FromTime)), is.FromTime, wanted.FromTime},
		{"toTime", is.ToTime.Seconds().Equal(second(wanted.ToTime)), is.ToTime, wanted.ToTime},
		{"query", string(is.Query) == wanted.Query, is.Query, wanted.Query},
		{"allowInComplete", !is.AllowInComplete.True(), is.AllowInComplete, false},
		{"contentType", strings.EqualFold(string(is.Sink.ContentType), wanted.Sink.ContentType), is.Sink.ContentType, wanted.Sink.ContentType},
		{"compressionType", strings.EqualFold(string(is.Sink.Compression), wanted.Sink.Compression), is.Sink.Compression, wanted.Sink.Compression},
		{"bucket", is.Sink.Bucket == "", is.Sink.Bucket, `""`},
	} {
		if !part.same {
			return "", &fetch.CallError{Call: createCall, Kind: fetch.ErrConflict, RequestID: a.RequestID,
				Message: api.OneLine(fmt.Sprintf("%s has the %s %v, not %v", ref, part.name, part.got, part.wanted))}
		}
	}
	return string(got.Description), nil
}

// Delete implements fetch.Creator.
func (p *Provider) Delete(ctx context.Context, ref fetch.Ref) error {
	if ref.Scheme() != scheme || ref.IsPlace() {
		return fmt.Errorf("delete %s: not a reference to an SLS job", ref)
	}
	const name = "DeleteDownloadJob"
	_, err := api.Retry(ctx, api.ServiceBackoff, name, func() (*api.Answer, error) {
		return p.send(ctx, name, ref, http.MethodDelete, jobPath(ref), nil)
	})
	return err
}
