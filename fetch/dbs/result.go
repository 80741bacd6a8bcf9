package dbs

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/oss"
	"tallyman/verify"
)

// addResult adds to the export of a task that has finished what the task
// yielded, by its TargetType.
func (p *Provider) addResult(ctx context.Context, ref fetch.Ref, t *task, export *fetch.Export) error {
	switch target := strings.ToUpper(string(t.TargetType)); target {
	case "OSS":
		return p.addBucketObjects(ctx, ref, t, export)
	case "URL", "":
		return p.addFile(ctx, ref, t, export)
	default:
		return t.answer.Refusal("", "the task has a target of an unknown type: "+target, fetch.ErrRefused)
	}
}

// addBucketObjects adds the objects that a task wrote to a bucket of its owner.
// Their names say what they hold: not all of them are tables.
func (p *Provider) addBucketObjects(ctx context.Context, ref fetch.Ref, t *task, export *fetch.Export) error {
	if p.Store == nil || p.Bucket == "" {
		return fmt.Errorf("export %s: %w", ref, ErrNoBucket)
	}
	in := oss.Selection{
		Region: cmp.Or(p.Region, ref.Parts()[0]), Bucket: p.Bucket,
		Since: timeOf(t.GmtCreate), JobName: ref.Parts()[2], Hint: "its region is REGION",
	}
	if below := strings.Trim(string(t.TargetPath), "/"); below != "" {
		in.Prefix = below + "/"
	}
	if in.Since.IsZero() {
		export.Doubts = append(export.Doubts, "when the task was created is not known: older objects under its path would be taken for its own")
	}
	export.Objects, export.Snapshot = p.Store.Objects(ctx, in), true
	return nil
}

// A storageInfo is the Data of an answer of DescribeDownloadBackupSetStorageInfo.
type storageInfo struct {
	PublicURL      api.LenientString `json:"PublicUrl"`
	PrivateURL     api.LenientString `json:"PrivateUrl"`
	ExpirationTime api.LenientString // milliseconds or seconds since 1970
}

// urlLifetime is how many seconds a URL is to last: as many as the service allows.
const urlLifetime = "86400"

// contents are the formats that a file without an extension may have. Its content
// gets that extension, unless it is a tar of many files.
var contents = []string{"csv", "sql", "parquet"}

// addFile adds the one file of a task that has a URL.
func (p *Provider) addFile(ctx context.Context, ref fetch.Ref, t *task, export *fetch.Export) error {
	info := new(storageInfo)
	a, err := p.call(ctx, urlCall, ref.Parts()[0], map[string]string{"TaskId": ref.Parts()[2], "Duration": urlLifetime}, info)
	if err != nil {
		return err
	}
	address := p.urlOf(ctx, info)
	name, ok := api.FileName(address, ref.Parts()[2])
	if !ok {
		return a.NoFile(address, "the task has finished but has no URL")
	}
	content := strings.ToLower(string(t.Format))
	if !slices.Contains(contents, content) {
		content = ""
	}
	answer := exportAnswer{Task: t.answer.Scrubbed(), File: a.Scrubbed("PublicUrl", "PrivateUrl")}
	if end := timeOf(info.ExpirationTime); !end.IsZero() {
		answer.Expires = end.Format(time.RFC3339)
	}
	export.Answer, export.Life = answer, t.life()
	object := fetch.Object{Name: name, Content: content, Want: verify.NoPromise()}
	export.Objects, err = api.OneFile(ref, p.Open, address, object)
	return err
}

// urlOf returns the URL to read: over https, unless its host is allowed http.
func (p *Provider) urlOf(ctx context.Context, info *storageInfo) string {
	address := string(info.PublicURL)
	if private, err := url.Parse(string(info.PrivateURL)); err == nil && private.Host != "" && p.Network.IsInternal(ctx, private.Host) {
		address = string(info.PrivateURL)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || p.AllowHTTP != nil && p.AllowHTTP(u.Host) {
		return address
	}
	u.Scheme, u.Host = "https", strings.TrimSuffix(u.Host, ":80")
	return u.String()
}
