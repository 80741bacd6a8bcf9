package sandbox

import (
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// logHashes are those of x-log-signaturemethod.
var logHashes = map[string]func() hash.Hash{
	"hmac-sha1":   sha1.New,
	"hmac-sha256": sha256.New,
}

// logDate accepts a day of one digit, as the vendor's own example has it.
const logDate = "Mon, 2 Jan 2006 15:04:05 GMT"

// readLog reads "LOG ID:SIGNATURE".
func readLog(r *http.Request, body []byte, credentials string) (claim, *refusal) {
	method := r.Header.Get("x-log-signaturemethod")
	if method == "" {
		return claim{}, refuse(http.StatusBadRequest, "MissingSignatureMethod", "x-log-signaturemethod does not exist in http header.")
	}
	algorithm, ok := logHashes[method]
	if !ok {
		return claim{}, refuse(http.StatusBadRequest, "InvalidSignatureMethod", "signature method %s is unsupported.", method)
	}
	date := cmp.Or(r.Header.Get("x-log-date"), r.Header.Get("Date"))
	when, bad := readDate(date, logDate)
	if bad != nil {
		return claim{}, bad
	}
	id, signature, _ := strings.Cut(credentials, ":")
	text := logText(r, date)
	return claim{id: id, signature: signature, date: when, sound: keepsMD5(r, body), sign: func(secret string) string {
		return base64.StdEncoding.EncodeToString(mac(algorithm, []byte(secret), text))
	}}, nil
}

func keepsMD5(r *http.Request, body []byte) bool {
	said := r.Header.Get("Content-MD5")
	return said == "" && len(body) == 0 || said == fmt.Sprintf("%X", md5.Sum(body))
}

// logText is the text that the scheme signs.
func logText(r *http.Request, date string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n%s\n", r.Method, r.Header.Get("Content-MD5"), r.Header.Get("Content-Type"), date)
	signed := headersWith(r.Header, "x-log-", "x-acs-")
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		fmt.Fprintf(&b, "%s:%s\n", name, signed[name])
	}
	b.WriteString(r.URL.EscapedPath())
	b.WriteString(logQuery(r.URL.Query()))
	return b.String()
}

// logQuery is the query in order, its values decoded.
func logQuery(query url.Values) string {
	separator := "?"
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(query)) {
		for _, value := range query[key] {
			b.WriteString(separator + key + "=" + value)
			separator = "&"
		}
	}
	return b.String()
}

// headersWith are those whose names begin so, by lower-case name.
func headersWith(h http.Header, prefixes ...string) map[string]string {
	found := map[string]string{}
	for name := range h {
		lower := strings.ToLower(name)
		for _, prefix := range prefixes {
			if strings.HasPrefix(lower, prefix) {
				found[lower] = strings.TrimSpace(h.Get(name))
			}
		}
	}
	return found
}

func mac(algorithm func() hash.Hash, key []byte, text string) []byte {
	h := hmac.New(algorithm, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
