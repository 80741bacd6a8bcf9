package fetch

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"tallyman/fetch/redact"
	"tallyman/verify"
)

// A Ref names an export: a job of a service, the objects under a prefix of a
// bucket, or one URL.
type Ref struct {
	scheme   string
	parts    []string // sls: region, project, job; https: host, path with its public query
	tid      string
	region   string
	query    string // of a signed URL: a secret, in memory only
	revision string // when what had landed was to be fetched once more, or ""
	want     verify.Want
	count    int64
}

// forms tells how the path of each scheme divides into parts. The last part
// may hold slashes where rest is set. A scheme has places unless placeless says
// why it has none.
var forms = map[string]struct {
	parts     []string
	rest      bool
	placeless string
}{
	"sls":   {parts: []string{"REGION", "PROJECT", "JOB"}},
	"dms":   {parts: []string{"REGION", "ORDER_ID", "KEY_ID"}, placeless: "dms has no places: a key exists only once asked for"},
	"dbs":   {parts: []string{"REGION", "INSTANCE", "TASK_ID"}},
	"dis":   {parts: []string{"REGION", "TASK_ID", "TRANSFER_FILE_NAME"}},
	"oss":   {parts: []string{"BUCKET", "PREFIX"}, rest: true, placeless: "an oss prefix is an export itself: fetch it"},
	"obs":   {parts: []string{"BUCKET", "PREFIX"}, rest: true, placeless: "an obs prefix is an export itself: fetch it"},
	"https": {parts: []string{"HOST", "PATH"}, rest: true, placeless: "a URL is one file: fetch it"},
	"http":  {parts: []string{"HOST", "PATH"}, rest: true, placeless: "a URL is one file: fetch it"},
}

// ParseRef reads a reference. String gives it back, but for the query of a
// signed URL, which only URL gives.
func ParseRef(s string) (Ref, error) {
	ref, err := parseRef(s)
	if err != nil {
		return Ref{}, fmt.Errorf("reference %q: %w", redact.URL(s), err)
	}
	return ref, nil
}

func parseRef(s string) (Ref, error) {
	scheme, path, ok := strings.Cut(s, "://")
	form, known := forms[scheme]
	if !ok || !known {
		return Ref{}, fmt.Errorf("want SCHEME://…, with sls, dms, dbs, dis, oss, obs or https for SCHEME")
	}
	if err := checkText(path); err != nil {
		return Ref{}, err
	}
	ref := Ref{scheme: scheme, want: verify.NoPromise(), count: verify.Unknown}
	if scheme == "https" || scheme == "http" {
		return ref.parseURL(s)
	}
	path, err := ref.takeOptions(path)
	if err != nil {
		return Ref{}, err
	}
	return ref, ref.divide(path, form.parts, form.rest)
}

func checkText(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == unicode.ReplacementChar
	}) {
		return fmt.Errorf("it holds a control character or is not UTF-8")
	}
	return nil
}

// divide divides a path into parts of those names.
func (r *Ref) divide(path string, names []string, rest bool) error {
	n := len(names)
	if !rest {
		n++ // one more than there may be, so that too many are seen
	}
	r.parts = strings.SplitN(path, "/", n)
	if len(r.parts) != len(names) {
		return fmt.Errorf("want %s://%s", r.scheme, strings.Join(names, "/"))
	}
	for i, part := range r.parts {
		if err := checkPart(names[i], part); err != nil {
			return err
		}
	}
	return nil
}

// takeOptions cuts ?tid=N or ?region=R off the path.
func (r *Ref) takeOptions(path string) (string, error) {
	options := map[string]map[string]*string{
		"dms": {"tid": &r.tid}, "oss": {"region": &r.region}, "obs": {"region": &r.region},
	}[r.scheme]
	i := strings.LastIndexByte(path, '?')
	if i < 0 {
		return path, nil
	}
	if _, query, _ := strings.Cut(path, "?"); redact.SecretQuery(query) {
		return "", fmt.Errorf("it holds a secret, which would be kept on disk: want the https URL as it was signed")
	}
	name, value, _ := strings.Cut(path[i+1:], "=")
	option, ok := options[name]
	if !ok {
		if r.scheme == "oss" || r.scheme == "obs" {
			return path, nil // a question mark in a key
		}
		return "", fmt.Errorf("%s references have no option %q", r.scheme, name)
	}
	*option = value
	return path[:i], checkOption(name, value)
}

func checkOption(name, value string) error {
	switch {
	case name == "tid":
		return checkNumber("option tid", value)
	case !label.MatchString(value):
		return fmt.Errorf("option %s is %q, want letters, digits and dashes", name, value)
	}
	return nil
}

// label is what may stand in a host name between two dots. Regions, projects
// and buckets become part of host names, so nothing else may be in them.
var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$`)

func checkPart(name, part string) error {
	switch name {
	case "ORDER_ID":
		return checkNumber(name, part)
	case "REGION", "PROJECT", "BUCKET", "TASK_ID", "KEY_ID", "INSTANCE":
		if !label.MatchString(part) || strings.Contains(part, "..") {
			return fmt.Errorf("%s is %q, want letters, digits, dashes and dots", name, part)
		}
	case "PREFIX", "": // "" is where a place has no name
	default:
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("%s is %q", name, part)
		}
	}
	return nil
}

// checkNumber holds what a service knows as a number to the digits of one.
func checkNumber(name, s string) error {
	if _, err := strconv.ParseUint(s, 10, 63); err != nil {
		return fmt.Errorf("%s is %q, want a number", name, s)
	}
	return nil
}

func (r Ref) parseURL(s string) (Ref, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Ref{}, fmt.Errorf("it is not a URL")
	}
	if u.User != nil {
		return Ref{}, fmt.Errorf("a URL with a user name or a password is refused: it would be kept on disk")
	}
	if !urlHost.MatchString(u.Host) {
		return Ref{}, fmt.Errorf("want %s://HOST/PATH, with letters, digits, dashes and dots in HOST", r.scheme)
	}
	path := rawPath(u)
	if redact.SecretQuery(u.RawQuery) {
		r.query = u.RawQuery
	} else if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	r.parts = []string{strings.ToLower(u.Host), escapeURL(strings.TrimPrefix(path, "/"))}
	return r, r.parsePromises(u.EscapedFragment())
}

// rawPath is the path as it was given. EscapedPath loses a %2F in it where
// another byte should be escaped and is not.
func rawPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.RawPath
	}
	return u.EscapedPath()
}

var urlHost = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$`)

// escapeURL escapes the bytes that may not stand in a URL, and no others.
func escapeURL(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Scheme is the name of the reference's provider, or http or https.
func (r Ref) Scheme() string { return r.scheme }

// Parts are the parts of the reference's path: region, project and job of an
// sls reference, host and path of an https one. The caller must not change
// them.
func (r Ref) Parts() []string { return r.parts }

// Tenant is the tid of a dms reference, Region that of an oss or obs one, or "".
func (r Ref) Tenant() string { return r.tid }

// Region is the region that an oss or obs reference names, or "".
func (r Ref) Region() string { return r.region }

// Want is what the reference itself promises of its one file.
func (r Ref) Want() verify.Want { return r.want }

// Records is how many records the reference promises, or verify.Unknown.
func (r Ref) Records() int64 { return r.count }

// Signed reports whether the reference is a URL whose query is a secret. Such
// a reference must not leave the process.
func (r Ref) Signed() bool { return r.query != "" }

// URL is the address that an https or http reference names, query and all: a
// secret if the reference is Signed. It has no fragment.
func (r Ref) URL() string {
	s := r.scheme + "://" + strings.Join(r.parts, "/")
	if r.query != "" {
		s += "?" + r.query
	}
	return s
}

// String is the reference in its canonical form, without the query of a
// signed URL.
func (r Ref) String() string {
	s := r.scheme + "://" + strings.Join(r.parts, "/")
	for _, option := range [][2]string{{"tid", r.tid}, {"region", r.region}} {
		if option[1] != "" {
			s += "?" + option[0] + "=" + option[1]
		}
	}
	return s + r.fragment()
}

// Key is the reference's path in the archive, slash-separated and local: its
// scheme, its parts and its tid, each one segment, and what WithRevision adds. Two
// references have one key only if they name one export.
func (r Ref) Key() string {
	segments := []string{r.scheme}
	for _, part := range r.parts {
		segments = append(segments, escapeSegment(part))
	}
	if r.tid != "" {
		segments[len(segments)-1] = escapeSegment(r.parts[len(r.parts)-1] + "?tid=" + r.tid)
	}
	return strings.Join(segments, "/") + r.revision
}

// Hash is 32 hex digits of the SHA-256 of Key.
func (r Ref) Hash() string { return shortHash(r.Key()) }

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

// longSegment is the length past which a segment is cut and hashed: file
// systems allow 255 bytes, and names with a suffix must fit too.
const longSegment = 180

// escapeSegment makes one file name of any text. A tilde in the result stands
// only before the hash of a text that was too long. There is no @ in it and no
// dot at its start: names that the archive makes have those.
func escapeSegment(s string) string {
	e := strings.NewReplacer("~", "%7E", "@", "%40").Replace(url.PathEscape(s))
	if e == "" {
		return "%"
	}
	if strings.HasPrefix(e, ".") {
		e = "%2E" + e[1:]
	}
	if len(e) > longSegment {
		return e[:120] + "~" + shortHash(s)
	}
	return e
}
