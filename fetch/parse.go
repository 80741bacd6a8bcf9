package fetch

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"tallyman/fetch/redact"
	"tallyman/verify"
)

// ParseRef reads a reference of a registered scheme. String gives it back, but
// for the query of a signed URL, which only URL gives.
func ParseRef(s string) (ref Ref, err error) {
	defer func() {
		if err != nil {
			ref, err = Ref{}, fmt.Errorf("reference %q: %w", redact.URL(s), err)
		}
	}()
	ref, path, err := cutScheme(s, false)
	if err != nil {
		return Ref{}, err
	}
	if ref.scheme.URL {
		err = ref.parseURL(s)
		return ref, err
	}
	if path, err = ref.cutOption(path); err != nil {
		return Ref{}, err
	}
	if err = ref.split(path, ref.scheme.Segments); err != nil {
		if place, placeErr := ParsePlace(s); placeErr == nil {
			err = &PlaceError{place}
		}
	}
	return ref, err
}

// A PlaceError says that a place was given for a reference.
type PlaceError struct{ Place Ref }

// Error says what the place is: a project, an instance, a task.
func (e *PlaceError) Error() string {
	segments := e.Place.scheme.Segments
	kind := strings.ToLower(strings.TrimSuffix(segments[len(segments)-2].Name, "_ID"))
	return fmt.Sprintf("it names a whole %s, and no export in it: want %s", kind, e.Place.scheme.form(segments))
}

// ParsePlace reads a place, where a Lister finds jobs: a reference without its
// last segment, as sls://REGION/PROJECT/, dbs://REGION/INSTANCE/ and
// dis://REGION/TASK_ID/. The slash at its end may be left out; String gives it
// back with one. A place names no export: ParseRef refuses it, and so must a
// Provider.
func ParsePlace(s string) (place Ref, err error) {
	defer func() {
		if err != nil {
			place, err = Ref{}, fmt.Errorf("place %q: %w", redact.URL(s), err)
		}
	}()
	place, path, err := cutScheme(s, true)
	if err != nil {
		return Ref{}, err
	}
	if path, err = place.cutOption(path); err != nil {
		return Ref{}, err
	}
	segments := slices.Clone(place.scheme.Segments)
	segments[len(segments)-1] = Segment{"", empty}
	path = strings.TrimSuffix(path, "/")
	if err = place.split(path+"/", segments); err != nil {
		if i := strings.LastIndexByte(path, '/'); i > 0 && place.split(path[:i+1], segments) == nil {
			err = fmt.Errorf("%w: it names one export of the place %s", err, place)
		}
	}
	return place, err
}

// CheckPattern returns an error that says why no reference can match a pattern, which
// may be the beginning of one, or have the wildcards of path.Match.
func CheckPattern(pattern string) error {
	ref, text, err := cutScheme(pattern, false)
	if err != nil {
		return err
	}
	if _, err := path.Match(text, ""); err != nil {
		return err
	}
	segments := ref.scheme.Segments
	parts := strings.Split(strings.TrimSuffix(text, "/"), "/")
	for i, part := range parts {
		if i >= len(segments) && segments[len(segments)-1].Kind == Rest {
			return nil
		}
		if i >= len(segments) {
			return fmt.Errorf("no reference has so many parts: want %s", ref.scheme.form(segments))
		}
		kind, literal := segments[i].Kind, wildcards().ReplaceAllString(part, "")
		switch {
		case part == "" && i < len(parts)-1 && kind != Rest, kind == Label && labelled().MatchString(literal):
			return fmt.Errorf("no %s is %q", segments[i].Name, part)
		case kind == Number && strings.Trim(literal, "0123456789") != "":
			return fmt.Errorf("no %s is %q, which is no number", segments[i].Name, part)
		}
	}
	return nil
}

var (
	wildcards = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[*?]|\[[^\]]*\]|\\.`) })
	labelled  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^A-Za-z0-9._-]`) }) // what is no part of a Label
)

// cutScheme returns a reference, or a place, that has only its scheme yet, and what
// follows the scheme in s.
func cutScheme(s string, place bool) (ref Ref, path string, err error) {
	name, path, ok := strings.Cut(s, "://")
	schemesMu.RLock()
	scheme := schemes[name]
	schemesMu.RUnlock()
	switch {
	case !ok || scheme == nil:
		return Ref{}, "", unknownScheme(s, place)
	case place && scheme.NoPlaces != "":
		return Ref{}, "", errors.New(scheme.NoPlaces)
	case strings.ContainsFunc(path, func(r rune) bool {
		return unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) || r == unicode.ReplacementChar
	}):
		return Ref{}, "", errors.New("it holds a control character or is not UTF-8")
	}
	return Ref{scheme: scheme, want: verify.NoPromise(), count: verify.Unknown}, path, nil
}

// cutOption cuts the option off the end of a path, if it has one.
func (r *Ref) cutOption(path string) (string, error) {
	i := strings.LastIndexByte(path, '?')
	if i < 0 {
		return path, nil
	}
	if _, query, _ := strings.Cut(path, "?"); redact.SecretQuery(query) {
		return "", errors.New("it holds a secret, which would be kept on disk: want the https URL as it was signed")
	}
	name, value, _ := strings.Cut(path[i+1:], "=")
	var known []string
	for _, o := range r.scheme.Options {
		if o.Name == name {
			r.option, r.value = name, value
			return path[:i], o.Kind.check("option "+name, value)
		}
		known = append(known, o.Name)
	}
	nearest, isRest := Nearest(name, known), r.scheme.Segments[len(r.scheme.Segments)-1].Kind == Rest
	switch {
	case isRest && nearest == "":
		return path, nil // a question mark in the name of an object
	case isRest:
		return "", fmt.Errorf("%s references have no option %q: did you mean ?%s=? If it is part of a name, end the reference in the option %s", r.scheme.Name, name, nearest, nearest)
	case nearest != "":
		return "", fmt.Errorf("%s references have no option %q: did you mean ?%s=?", r.scheme.Name, name, nearest)
	}
	return "", fmt.Errorf("%s references have no option %q", r.scheme.Name, name)
}

// split splits a path into its segments and checks each.
func (r *Ref) split(path string, segments []Segment) error {
	n := len(segments) + 1 // one more than there may be, so that too many are seen
	if segments[n-2].Kind == Rest {
		n--
	}
	r.parts = strings.SplitN(path, "/", n)
	if len(r.parts) != len(segments) {
		return errors.New("want " + r.scheme.form(segments))
	}
	for i, s := range segments {
		if err := s.Kind.check(s.Name, r.parts[i]); err != nil {
			return err
		}
		if s.Kind == Label && strings.Contains(r.parts[i], "..") { // an option may: it is no directory of the archive
			return fmt.Errorf("%s is %q, want no two dots in a row", s.Name, r.parts[i])
		}
	}
	return nil
}

var urlHost = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?$`) })

// parseURL reads a URL. What it does not show in an error may be a secret.
func (r *Ref) parseURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case u.User != nil:
		return errors.New("a URL with a user name or a password is refused: it would be kept on disk")
	case !urlHost().MatchString(u.Host):
		return fmt.Errorf("want %s://HOST/PATH, with letters, digits, dashes and dots in HOST", r.scheme.Name)
	}
	path := u.RawPath // as it was given: EscapedPath loses a %2F in it where another byte should be escaped and is not
	if path == "" {
		path = u.EscapedPath()
	}
	if redact.SecretQuery(u.RawQuery) {
		r.query = u.RawQuery
	} else if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	r.parts = []string{strings.ToLower(u.Host), escapeURL(strings.TrimPrefix(path, "/"))}
	return r.parsePromises(u.EscapedFragment())
}

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

// parsePromises reads the fragment of a URL: what the reference promises, which
// is never sent. An error shows no value, since it may be a misplaced query.
func (r *Ref) parsePromises(fragment string) error {
	if fragment == "" {
		return nil
	}
	seen := map[string]bool{}
	for _, promise := range strings.Split(fragment, "&") {
		name, value, _ := strings.Cut(promise, "=")
		if seen[name] {
			return fmt.Errorf("#%s is promised twice", name)
		}
		seen[name] = true
		var err error
		switch name {
		case "size":
			r.want.Size, err = parseCount(name, value)
		case "records":
			r.count, err = parseCount(name, value)
		case "sha256":
			if b, err := hex.DecodeString(value); err != nil || len(b) != 32 {
				return errors.New("#sha256: want 64 hex digits")
			}
			r.want.SHA256 = strings.ToLower(value)
		case "md5":
			if b, err := hex.DecodeString(value); err != nil || len(b) != 16 {
				return errors.New("#md5: want 32 hex digits")
			}
			r.want.MD5 = strings.ToLower(value)
		case "crc64":
			n, err := strconv.ParseUint(value, 10, 64)
			if err != nil {
				return errors.New("#crc64: want CRC-64/XZ in decimal, as OSS gives it")
			}
			r.want.CRC64 = strconv.FormatUint(n, 10)
		case "from":
			r.from, err = parseSecond(name, value)
		case "to":
			r.to, err = parseSecond(name, value)
		default:
			if nearest := Nearest(name, []string{"sha256", "md5", "crc64", "size", "records", "from", "to"}); nearest != "" {
				return fmt.Errorf("unknown promise #%s: did you mean #%s=?", name, nearest)
			}
			return fmt.Errorf("unknown promise #%s, want sha256, md5, crc64, size, records, from or to", name)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case seen["from"] != seen["to"]:
		return errors.New("#from and #to are promised together: want both, or neither")
	case seen["to"] && r.from >= r.to:
		return errors.New("#from: want a time before #to")
	}
	return nil
}

// parseSecond reads a time as seconds since 1970. A date is its first second in UTC.
func parseSecond(name, value string) (int64, error) {
	value, err := url.PathUnescape(value)
	if n, notCount := strconv.ParseInt(value, 10, 64); err == nil && notCount == nil && 0 <= n && n <= maxSecond {
		return n, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, value); err == nil && t.Nanosecond() == 0 && 0 <= t.Unix() && t.Unix() <= maxSecond {
			return t.Unix(), nil
		}
	}
	return 0, fmt.Errorf("#%s: want a time like 2026-11-01T08:00:00Z, a date, or seconds since 1970", name)
}

// maxSecond is the last second that RFC 3339 can tell.
const maxSecond = 253402300799

func parseCount(name, value string) (int64, error) {
	n, err := strconv.ParseUint(value, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("#%s: want a whole number", name)
	}
	return int64(n), nil
}
