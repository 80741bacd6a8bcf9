package fetch

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// A Ref names an export: a job of a service, the objects under a prefix of a
// bucket, or one URL. A Ref whose last part is empty is a place, where a Lister
// finds exports, unless its scheme has no places.
type Ref struct {
	scheme   *Scheme
	parts    []string // sls: region, project, job; https: host, path with its public query
	option   string   // the name of the option that it ends in, or ""
	value    string   // of the option
	query    string   // of a signed URL: a secret, in memory only
	revision string   // when what had landed was to be fetched once more, or ""
	newOnly  bool     // of the objects under a prefix, those that no bag has
	repair   bool     // in place of what landed, which is damaged or absent
	want     verify.Want
	count    int64
	from, to int64 // seconds since 1970: the window that the reference promises, or 0
}

// Scheme is the name of the reference's scheme, or "" of the zero Ref.
func (r Ref) Scheme() string {
	if r.scheme == nil {
		return ""
	}
	return r.scheme.Name
}

// Parts are the segments of the reference's path: region, project and job of an
// sls reference, host and path of an https one. The caller must not change
// them.
func (r Ref) Parts() []string { return r.parts }

// Option is the value of the option of that name, or "".
func (r Ref) Option(name string) string {
	if name != r.option {
		return ""
	}
	return r.value
}

// Want is what the reference itself promises of its one file.
func (r Ref) Want() verify.Want { return r.want }

// Records is how many records the reference promises, or verify.Unknown.
func (r Ref) Records() int64 { return r.count }

// Window is the time that a URL promises to span, or nil. The files of one directory
// of its host are one group.
func (r Ref) Window() *Window {
	if r.to == 0 {
		return nil
	}
	directory, _, _ := strings.Cut(r.Scheme()+"://"+strings.Join(r.parts, "/"), "?")
	return &Window{
		Group: directory[:strings.LastIndexByte(directory, '/')+1],
		From:  time.Unix(r.from, 0).UTC(), To: time.Unix(r.to, 0).UTC(),
	}
}

// Signed reports whether the reference is a URL whose query is a secret. Such
// a reference must not leave the process.
func (r Ref) Signed() bool { return r.query != "" }

// URL is the address that an https or http reference names, query and all: a
// secret if the reference is Signed. It has no fragment.
func (r Ref) URL() string {
	s := r.Scheme() + "://" + strings.Join(r.parts, "/")
	if r.query != "" {
		s += "?" + r.query
	}
	return s
}

// String is the reference in its canonical form, without the query of a
// signed URL. ParseRef reads it back, or ParsePlace if it is a place.
func (r Ref) String() string {
	s := r.Scheme() + "://" + strings.Join(r.parts, "/")
	if r.option != "" {
		s += "?" + r.option + "=" + r.value
	}
	var promises []string // in a fixed order; parsePromises reads them
	if r.want.SHA256 != "" {
		promises = append(promises, "sha256="+r.want.SHA256)
	}
	if r.want.MD5 != "" {
		promises = append(promises, "md5="+r.want.MD5)
	}
	if r.want.CRC64 != "" {
		promises = append(promises, "crc64="+r.want.CRC64)
	}
	if r.want.Size != verify.Unknown {
		promises = append(promises, fmt.Sprintf("size=%d", r.want.Size))
	}
	if r.count != verify.Unknown {
		promises = append(promises, fmt.Sprintf("records=%d", r.count))
	}
	if w := r.Window(); w != nil {
		promises = append(promises, "from="+w.From.Format(time.RFC3339)+"&to="+w.To.Format(time.RFC3339))
	}
	if len(promises) > 0 {
		s += "#" + strings.Join(promises, "&")
	}
	return s
}

// Key is the reference's path in the archive, slash-separated and local: its
// scheme and its parts, each one segment, an option that identifies the export,
// and the revision. Two references have one key only if they name one export.
func (r Ref) Key() string {
	segments := []string{r.Scheme()}
	for _, part := range r.parts {
		segments = append(segments, escapeSegment(part))
	}
	if r.option != "" && slices.ContainsFunc(r.scheme.Options, func(o Option) bool { return o.Name == r.option && o.Identifies }) {
		segments[len(segments)-1] = escapeSegment(r.parts[len(r.parts)-1] + "?" + r.option + "=" + r.value)
	}
	key := strings.Join(segments, "/") + r.revision
	if r.repair {
		return archive.RepairKey(key)
	}
	return key
}

// Hash is 32 hex digits of the SHA-256 of Key.
func (r Ref) Hash() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(r.Key())))[:32] }

// longSegment is the length past which a segment is cut and hashed: file
// systems allow 255 bytes, and names with a suffix must fit too.
const longSegment = 180

// segmentEscaper replaces what url.PathEscape leaves and names of the archive hold.
var segmentEscaper = strings.NewReplacer("~", "%7E", "@", "%40")

// escapeSegment makes one file name of any text. A tilde in the result stands
// only before the hash of a text that was too long. It holds no @ and does not
// begin with a dot, so it can't be taken for a name that the archive makes.
func escapeSegment(s string) string {
	e := segmentEscaper.Replace(url.PathEscape(s))
	if e == "" {
		return "%"
	}
	if strings.HasPrefix(e, ".") {
		e = "%2E" + e[1:]
	}
	if len(e) > longSegment {
		sum := sha256.Sum256([]byte(s))
		return fmt.Sprintf("%s~%x", e[:120], sum[:16])
	}
	return e
}

const revisionLayout = "@20060102T150405Z"

// WithRevision returns a reference to the same export, to be fetched once more
// as of t: its Key ends in @20060102T150405Z, so that it lands beside what
// landed before. String and all else stay as they are.
func (r Ref) WithRevision(t time.Time) Ref {
	r.revision = t.UTC().Format(revisionLayout)
	return r
}

// Revision is the time that WithRevision was given, to the second, or zero.
func (r Ref) Revision() time.Time {
	t, _ := time.Parse(revisionLayout, r.revision) // which fails for "" alone
	return t
}

// unrevised returns the reference without its revision.
func (r Ref) unrevised() Ref {
	r.revision, r.newOnly, r.repair = "", false, false
	return r
}

// WithRepair returns a reference to the same export, to be fetched in place of what
// landed, which is damaged or absent. It has another Key while it is fetched; its receipt
// has the one that landed.
func (r Ref) WithRepair() Ref {
	r.repair = true
	return r
}

// Repair reports whether r is of WithRepair.
func (r Ref) Repair() bool { return r.repair }

// RefAt returns the reference of what landed, or is received, under a key. text is the reference as it may
// be shown, or "" if that is not known. It reports whether there is one.
func RefAt(key, text string) (Ref, bool) {
	plain, isRepair := strings.CutSuffix(key, archive.RepairKey(""))
	first, at, _ := strings.Cut(plain, "@")
	if scheme, rest, _ := strings.Cut(first, "/"); text == "" {
		path, err := url.PathUnescape(strings.TrimSuffix(rest, "%")) // the name of what is empty
		if err != nil {
			return Ref{}, false
		}
		text = scheme + "://" + path
	}
	ref, err := ParseRef(text)
	if err != nil {
		return Ref{}, false
	}
	if t, err := time.Parse(revisionLayout, "@"+at); err == nil {
		ref = ref.WithRevision(t)
	}
	if isRepair {
		ref = ref.WithRepair()
	}
	return ref, ref.Key() == key
}

// WithNewOnly returns a reference to those objects under a prefix that no bag of it
// has, or only in another version. It is for a revision of the reference.
func (r Ref) WithNewOnly() Ref {
	r.newOnly = true
	return r
}

// NewOnly reports whether r is of WithNewOnly.
func (r Ref) NewOnly() bool { return r.newOnly }

// IsPlace reports whether r is a place.
func (r Ref) IsPlace() bool {
	return len(r.parts) > 0 && r.parts[len(r.parts)-1] == "" && r.scheme.NoPlaces == ""
}

// Job returns the reference to the job of that name in the place r. It fails if
// r is no place, or if no reference can hold the name.
func (r Ref) Job(name string) (Ref, error) {
	if !r.IsPlace() {
		return Ref{}, fmt.Errorf("%s is not a place", r)
	}
	job := r
	job.parts = slices.Clone(r.parts)
	job.parts[len(r.parts)-1] = name
	return ParseRef(job.String())
}

// IsPrefix reports whether the export r is the objects under a prefix. See
// Scheme.Prefix.
func (r Ref) IsPrefix() bool { return r.scheme != nil && r.scheme.Prefix }

// Place returns the place that holds the export r, if its scheme has places.
func (r Ref) Place() (Ref, bool) {
	if len(r.parts) == 0 || r.scheme.NoPlaces != "" || r.IsPlace() {
		return Ref{}, false
	}
	parts := slices.Clone(r.parts)
	parts[len(parts)-1] = ""
	return Ref{scheme: r.scheme, parts: parts, want: verify.NoPromise(), count: verify.Unknown}, true
}

// PlaceText is the text of the place that holds the export r. Of one in no place it has the
// scheme and what is first in r: a host, a bucket or a region.
func (r Ref) PlaceText() string {
	if place, ok := r.Place(); ok {
		return place.String()
	}
	return r.Scheme() + "://" + r.parts[0] + "/"
}

// name is the name of the export r in its place.
func (r Ref) name() string { return r.parts[len(r.parts)-1] }

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
