package fetch

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

// A Lifetime says how long what a job yielded is there. A signed URL that its job gives anew
// says nothing of it.
type Lifetime struct {
	Ended time.Time     // when the job ended or, if the service does not say, a time before that
	Lasts time.Duration // from then on; 0: nobody knows
}

// Ends is until when the result is there at least, or the zero time if nobody knows. The
// job had not ended yet at pending, which may be zero.
func (l Lifetime) Ends(pending time.Time) time.Time {
	from := l.Ended
	if pending.After(from) {
		from = pending
	}
	if l.Lasts <= 0 || from.IsZero() || from.Unix() > maxEnds {
		return time.Time{}
	}
	return from.Add(l.Lasts)
}

// Ends is when the signed URL that the reference is ends, by what its query says. Nobody can
// give another one. It is the zero time for all other references.
func (r Ref) Ends() time.Time { return urlEnds(r.query) }

// How signed URLs say when they end. Each way is known by parameters that it alone has, so
// that a query which happens to have an Expires is not taken for a signature.
var signatures = []struct {
	signature string
	with      []string // one of these is there, too
	is        string   // what that one is, if not ""
	from      string   // when it was signed; "": seconds is a time since 1970
	seconds   string
}{
	{"Signature", []string{"OSSAccessKeyId", "AccessKeyId", "AWSAccessKeyId", "GoogleAccessId"}, "", "", "Expires"},
	{"x-oss-signature", []string{"x-oss-signature-version"}, "OSS2", "", "x-oss-expires"},
	{"x-oss-signature", []string{"x-oss-signature-version"}, "OSS4-HMAC-SHA256", "x-oss-date", "x-oss-expires"},
	{"X-Amz-Signature", []string{"X-Amz-Credential"}, "", "X-Amz-Date", "X-Amz-Expires"},
}

const (
	signedTime  = "20060102T150405Z"
	maxLifetime = 7 * 24 * 3600 // in seconds, of URLs that say how long they last
	maxEnds     = 1 << 33       // in seconds since 1970: the year 2242
)

// urlEnds is when a signed URL ends that has this query, or the zero time if it does not say.
func urlEnds(query string) time.Time {
	values, _ := url.ParseQuery(query) // what can be read of it
	for _, s := range signatures {
		named := func(name string) bool { return values.Get(name) != "" && (s.is == "" || values.Get(name) == s.is) }
		seconds, err := strconv.ParseInt(values.Get(s.seconds), 10, 64)
		if values.Get(s.signature) == "" || !slices.ContainsFunc(s.with, named) || err != nil || seconds <= 0 {
			continue
		}
		var from int64
		if s.from != "" {
			at, err := time.Parse(signedTime, values.Get(s.from))
			if err != nil || at.Unix() <= 0 || seconds > maxLifetime {
				continue
			}
			from = at.Unix()
		}
		if seconds <= maxEnds && from+seconds <= maxEnds {
			return time.Unix(from+seconds, 0).UTC()
		}
	}
	return time.Time{}
}
