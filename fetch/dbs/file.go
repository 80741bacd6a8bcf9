package dbs

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// fill gives an export what its task, which has finished, yielded.
func (p *Provider) fill(ctx context.Context, ref fetch.Ref, t *task, export *fetch.Export) error {
	switch target := strings.ToUpper(string(t.TargetType)); target {
	case "OSS":
		return p.sunk(ctx, ref, t, export)
	case "URL", "":
		return p.file(ctx, ref, t, export)
	default:
		return t.answer.Refusal("", "the task has a target of an unknown type: "+target, fetch.ErrRefused)
	}
}

// A location is the Data of an answer of DescribeDownloadBackupSetStorageInfo.
type location struct {
	PublicURL      api.LenientString `json:"PublicUrl"`
	PrivateURL     api.LenientString `json:"PrivateUrl"`
	ExpirationTime api.LenientString
}

// lifetime is how long a URL is to last, in seconds: as long as it can.
const lifetime = "86400"

// file is the one file of a task that has a URL.
func (p *Provider) file(ctx context.Context, ref fetch.Ref, t *task, export *fetch.Export) error {
	where := new(location)
	a, err := p.call(ctx, urlCall, ref.Parts()[0], map[string]string{"TaskId": ref.Parts()[2], "Duration": lifetime}, where)
	if err != nil {
		return err
	}
	address := p.address(where)
	name, ok := api.FileName(address, ref.Parts()[2])
	if !ok {
		return &fetch.CallError{Call: a.Call, Message: "the task has finished but has no URL", RequestID: a.RequestID, Kind: fetch.ErrNotFound}
	}
	source, err := p.Open(address)
	if err != nil {
		return fmt.Errorf("open the file of %s: %w", ref, err)
	}
	export.Answer = answered{Task: t.answer.Scrubbed(), File: a.Scrubbed("PublicUrl", "PrivateUrl"), Expires: where.expires()}
	object := fetch.Object{Name: t.named(name), Content: t.content(), Want: verify.NoPromise(), Source: source}
	export.Objects = func(yield func(fetch.Object, error) bool) { yield(object, nil) }
	return nil
}

func (l *location) expires() string {
	if end := timeOf(l.ExpirationTime); !end.IsZero() {
		return end.Format(time.RFC3339)
	}
	return ""
}

// address is the URL to read, over https unless its host may do without.
func (p *Provider) address(where *location) string {
	address := string(where.PublicURL)
	if p.Network == "internal" && where.PrivateURL != "" {
		address = string(where.PrivateURL)
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || p.Plain != nil && p.Plain(u.Host) {
		return address
	}
	u.Scheme, u.Host = "https", strings.TrimSuffix(u.Host, ":80")
	return u.String()
}

// extensions are those of the formats. A file need not be what its task says:
// it may be a tar of many.
var extensions = map[string]string{"csv": ".csv", "sql": ".sql", "parquet": ".parquet"}

// named is the name of a file, with an extension.
func (t *task) named(name string) string {
	if path.Ext(name) == "" {
		name += extensions[strings.ToLower(string(t.Format))]
	}
	return name
}

func (t *task) content() string {
	return map[string]string{"csv": "csv"}[strings.ToLower(string(t.Format))]
}
