package sandbox

import (
	"encoding/base64"
	"encoding/xml"
	"net/http"
	"strings"
	"time"
)

// listed is the answer of a listing. The pointers are told by one version
// only.
type listed struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name                  string
	Prefix                string
	Marker                *string `xml:",omitempty"`
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	MaxKeys               int
	Delimiter             string
	EncodingType          string `xml:",omitempty"`
	IsTruncated           bool
	NextMarker            string `xml:",omitempty"`
	NextContinuationToken string `xml:",omitempty"`
	Contents              []content
	CommonPrefixes        []commonPrefix
	KeyCount              *int `xml:",omitempty"`

	encode func(string) string
}

// content is one object of it.
type content struct {
	Key          string
	LastModified string
	ETag         verbatim
	Type         string `xml:",omitempty"`
	Size         int
	StorageClass string
	Owner        *owner `xml:",omitempty"`
}

// verbatim is text whose quotes the vendor does not escape.
type verbatim struct {
	Text string `xml:",innerxml"`
}

type owner struct{ ID, DisplayName string }

var sandboxOwner = &owner{"0022012****", "sandbox"}

type commonPrefix struct{ Prefix string }

// listed tells of the objects on a page, in the encoding asked for.
func (b *bucketState) listed(v visit, p page) listed {
	found := listed{Name: b.name, EncodingType: v.query.Get("encoding-type"), IsTruncated: p.truncated, encode: func(s string) string { return s }}
	if found.EncodingType == "url" {
		found.encode = func(s string) string { return escaped(s, "") }
	}
	found.Prefix, found.Delimiter = found.encode(v.query.Get("prefix")), found.encode(v.query.Get("delimiter"))
	for _, key := range p.keys {
		o := b.objects[key]
		now := v.sees(o)
		found.Contents = append(found.Contents, content{
			Key:          found.encode(key),
			LastModified: now.modified.UTC().Truncate(time.Second).Format(storeTime),
			ETag:         verbatim{`"` + now.etag + `"`},
			Type:         now.kind,
			Size:         len(now.body),
			StorageClass: v.storageClass(*o.file),
			Owner:        sandboxOwner,
		})
	}
	for _, prefix := range p.prefixes {
		found.CommonPrefixes = append(found.CommonPrefixes, commonPrefix{found.encode(prefix)})
	}
	return found
}

func markerOf(v visit) (string, *refusal) { return v.query.Get("marker"), nil }

func tellV1(v visit, found listed, p page) listed {
	found.Marker = new(found.encode(v.query.Get("marker")))
	if p.truncated {
		found.NextMarker = found.encode(p.last)
	}
	return found
}

// tokens are of characters that a client must escape in a query.
var tokens = base64.StdEncoding

// tokenOf is what a listing is to go on after.
func tokenOf(v visit) (string, *refusal) {
	token := v.query.Get("continuation-token")
	after, err := tokens.DecodeString(strings.ReplaceAll(token, "-", "="))
	if err != nil {
		return "", invalid("continuation-token", token, "The continuation token provided is incorrect.")
	}
	return max(string(after), v.query.Get("start-after")), nil
}

func tellV2(v visit, found listed, p page) listed {
	found.StartAfter = found.encode(v.query.Get("start-after"))
	found.ContinuationToken = v.query.Get("continuation-token")
	found.KeyCount = new(len(p.keys) + len(p.prefixes))
	if p.truncated {
		found.NextContinuationToken = found.encode(strings.ReplaceAll(tokens.EncodeToString([]byte(p.last)), "=", "-"))
	}
	if v.query.Get("fetch-owner") != "true" {
		for i := range found.Contents {
			found.Contents[i].Owner = nil
		}
	}
	return found
}

func (found listed) send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/xml")
	w.Write([]byte(xml.Header))
	xml.NewEncoder(w).Encode(found)
}
