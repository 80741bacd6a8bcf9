// Package sign checks the signatures of requests as the vendors' servers do.
// It shares no code with the clients that sign, so that each proves the other:
// of this module it imports apierr alone.
//
// An Account has one check for each API:
//
//   - CheckSLS: "LOG" with HMAC-SHA1 or HMAC-SHA256, and "SLS4-HMAC-SHA256".
//   - CheckRPC (DMS, DBS): "ACS3-HMAC-SHA256", and the older HMAC-SHA1 whose
//     signature is a parameter (V1).
//   - CheckOSS: "OSS" (V1) and "OSS4-HMAC-SHA256" (V4) in a header, V1 in a URL.
//   - CheckOBS: "OBS", and "AWS4-HMAC-SHA256" of S3.
//   - CheckDIS: a token, or "SDK-HMAC-SHA256" in the form of the service or in
//     that of the gateway before it.
//
// Each check returns nil for a request that the vendor would let in, and else
// the vendor's own error. All look first at the format, then at the date, then
// at the key's ID, then at the STS token and last at the signature. A check
// changes nothing, so any number may run at once.
package sign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// MaxSkew is how far the date of a request may be from the cloud's, either way.
const MaxSkew = 15 * time.Minute

// An Account is the one customer that is known, and the keys that the cloud
// believes.
type Account struct {
	AccessKeyID, AccessKeySecret string
	SecurityToken                string // the STS token that goes with the key. "" = the key has none, and a request must have none
	AuthToken                    string // the X-Auth-Token of DIS. "" = none is good
	URLSecret                    string // signs the URLs that the cloud itself gives (see SignURL)
}

// credentials are what a request says of its signer, in whichever scheme.
type credentials struct {
	id, token, signature string
	date                 time.Time
	broken               bool                       // a hash or a scope in the request is not the right one
	sign                 func(secret string) string // returns the signature that is due

	region    string // that the key is good for. "" = any
	text      string // the string to sign, for the errors that tell it
	canonical string // the canonical request that text is a hash of. "" = text is the request
}

// An authFailure is what can be wrong with credentials. Each API has an error of
// its own for each.
type authFailure int

const (
	outOfTime authFailure = iota
	unknownKey
	wrongToken
	mismatched
)

// authErrors are the errors of one API, by what is wrong. In a message
// or a detail {id}, {signature}, {text}, {bytes}, {date} and {now} stand for
// what the credentials have.
type authErrors map[authFailure]struct {
	status            int
	code, message, ec string
	details           [][2]string
}

// verify checks credentials, and returns the error of the API for what is
// wrong with them.
func (a Account) verify(c credentials, now time.Time, errors authErrors) *apierr.Error {
	switch {
	case c.date.Before(now.Add(-MaxSkew)), c.date.After(now.Add(MaxSkew)):
		return errors.of(outOfTime, c, now)
	case c.id != a.AccessKeyID:
		return errors.of(unknownKey, c, now)
	case !equal(c.token, a.SecurityToken):
		return errors.of(wrongToken, c, now)
	case c.broken, !equal(c.signature, c.sign(a.AccessKeySecret)):
		return errors.of(mismatched, c, now)
	}
	return nil
}

func (errors authErrors) of(failure authFailure, c credentials, now time.Time) *apierr.Error {
	fill := strings.NewReplacer("{id}", c.id, "{signature}", c.signature, "{text}", c.text, "{bytes}", fmt.Sprintf("% X ", c.text),
		"{date}", c.date.UTC().Format(xmlTime), "{now}", now.UTC().Format(xmlTime)).Replace
	row := errors[failure]
	e := apierr.New(row.status, row.code, "%s", fill(row.message)).WithEC(row.ec)
	for _, d := range row.details {
		e.WithDetail(d[0], fill(d[1]))
	}
	return e
}

const (
	basicTime = "20060102T150405Z"         // of the schemes whose keys have a scope
	xmlTime   = "2006-01-02T15:04:05.000Z" // of times in the errors of the stores
)

// parseDate reads a date in the first layout that fits. If none fits it returns
// a copy of failure.
func parseDate(text string, failure apierr.Error, layouts ...string) (time.Time, *apierr.Error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &failure
}

// scheme splits the Authorization header at its first space.
func scheme(r *http.Request) (word, rest string) {
	word, rest, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	return word, rest
}

// fields reads "A=x,B=y"; there may be a space after the comma.
func fields(text string) map[string]string {
	found := map[string]string{}
	for field := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		found[name] = value
	}
	return found
}

// headersWith returns the names of the headers with one of these prefixes, in
// lower case and sorted.
func headersWith(h http.Header, prefixes ...string) []string {
	var names []string
	for name := range h {
		name = strings.ToLower(name)
		if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// header returns a header as it is signed. Go keeps Host apart from the others.
func header(r *http.Request, name string) string {
	if name == "host" {
		return r.Host
	}
	return strings.TrimSpace(r.Header.Get(name))
}

// headerLines returns these headers as the schemes sign them: a line each.
func headerLines(r *http.Request, names []string) string {
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s:%s\n", name, header(r, name))
	}
	return b.String()
}

// queryPairs returns what pair makes of each parameter, in the order of the names.
func queryPairs(query url.Values, pair func(name, value string) string) []string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		for _, value := range query[name] {
			pairs = append(pairs, pair(name, value))
		}
	}
	return pairs
}

func escapedPair(name, value string) string { return escape(name, "") + "=" + escape(value, "") }

// barePair has no "=" behind a name whose value is empty.
func barePair(name, value string) string {
	if value == "" {
		return name
	}
	return name + "=" + value
}

// escape escapes every byte but those of RFC 3986's unreserved set, and those
// in keep.
func escape(text, keep string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~"+keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func mac(algorithm func() hash.Hash, key []byte, text string) []byte {
	h := hmac.New(algorithm, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// equal compares in constant time.
func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

func sha256Hex(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// scopedText is the string to sign of a canonical request, in the schemes whose
// keys have a scope.
func scopedText(scheme, date, scope, canonical string) string {
	return scheme + "\n" + date + "\n" + scope + "\n" + sha256Hex([]byte(canonical))
}

// scopedSign signs text with a key that is derived from secret and is good for
// scope alone: a day, a region and a product.
func scopedSign(secret, scope, text string) string {
	key := []byte(secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(sha256.New, key, part)
	}
	return hex.EncodeToString(mac(sha256.New, key, text))
}
