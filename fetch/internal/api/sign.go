package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// HMAC returns the keyed hash of a text.
func HMAC(h func() hash.Hash, key []byte, text string) []byte {
	mac := hmac.New(h, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// ScopedKey derives a key that is good for one scope, such as a day, a region and
// a service: by one HMAC-SHA256 for each part of the scope.
func ScopedKey(secret string, scope []string) []byte {
	key := []byte(secret)
	for _, part := range scope {
		key = HMAC(sha256.New, key, part)
	}
	return key
}

// CanonicalHeaders returns the headers under a signature as lines, in the order of
// their names, and the names. The names are in lower case already.
func CanonicalHeaders(values map[string]string) (names []string, lines string) {
	names = slices.Sorted(maps.Keys(values))
	for _, name := range names {
		lines += name + ":" + strings.TrimSpace(values[name]) + "\n"
	}
	return names, lines
}

// Escape escapes all but the unreserved characters of RFC 3986.
func Escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
