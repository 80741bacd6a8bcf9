package sandbox

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// readOSS4 reads "OSS4-HMAC-SHA256 Credential=ID/SCOPE,AdditionalHeaders=A;B,
// Signature=SIGNATURE", where the middle may be absent. The text has the date
// as the header has it: of x-oss-date, or of Date.
func readOSS4(v visit, credentials string) (claim, *refusal) {
	date := v.Header.Get("x-oss-date")
	layout := sls4Date
	if date == "" {
		date, layout = v.Header.Get("Date"), http.TimeFormat
	}
	when, bad := storeDate(date, layout)
	if bad != nil {
		return claim{}, bad
	}
	said := fields(credentials)
	id, scope, _ := strings.Cut(said["Credential"], "/")
	if bad := checkScope(scope, when.Format("20060102")); bad != nil {
		return claim{}, bad
	}
	if v.Header.Get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD" {
		return claim{}, badHeader("x-oss-content-sha256", "")
	}
	canonical, bad := oss4Request(v, said["AdditionalHeaders"])
	if bad != nil {
		return claim{}, bad
	}
	text := scopedText("OSS4-HMAC-SHA256", date, scope, canonical)
	region := strings.Split(scope, "/")[1]
	return claim{id: id, signature: said["Signature"], date: when, sound: true, region: region, text: text, canonical: canonical,
		sign: func(secret string) string { return scopedSign(secret, scope, text) }}, nil
}

// fields reads "A=x,B=y"; a space after the comma is let pass.
func fields(text string) map[string]string {
	found := map[string]string{}
	for field := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		found[name] = value
	}
	return found
}

func checkScope(scope, day string) *refusal {
	parts := strings.Split(scope, "/")
	switch {
	case len(parts) != 4 || parts[3] != "aliyun_v4_request":
		return badScope("Credential", "0002-00000213")
	case parts[0] != day:
		return badScope("signing date", "")
	case parts[1] == "":
		return badScope("signing region", "0002-00000226")
	case parts[2] != "oss":
		return badScope("signing product", "0002-00000227")
	}
	return nil
}

func badScope(what, ec string) *refusal {
	return refuse(http.StatusBadRequest, "InvalidArgument", "Invalid %s in Authorization header.", what).numbered(ec)
}

// oss4Request is the canonical request. Its additional headers are signed
// besides those that always are.
func oss4Request(v visit, additional string) (string, *refusal) {
	signed := headersWith(v.Header, "x-oss-")
	for _, name := range []string{"content-type", "content-md5"} {
		if value := v.Header.Get(name); value != "" {
			signed[name] = strings.TrimSpace(value)
		}
	}
	for name := range strings.SplitSeq(additional, ";") {
		value := v.Header.Get(name)
		if name == "host" {
			value = v.Host
		}
		if name != "" && value == "" {
			return "", badHeader(name, "0002-00000078")
		}
		if name != "" {
			signed[name] = strings.TrimSpace(value)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", v.Method, escaped(v.resource(), "/"), oss4Query(v.query))
	for _, name := range slices.Sorted(maps.Keys(signed)) {
		fmt.Fprintf(&b, "%s:%s\n", name, signed[name])
	}
	fmt.Fprintf(&b, "\n%s\n%s", additional, v.Header.Get("x-oss-content-sha256"))
	return b.String(), nil
}

func badHeader(name, ec string) *refusal {
	return refuse(http.StatusBadRequest, "InvalidArgument", "The header %s is missing or invalid.", name).numbered(ec)
}

// oss4Query is the query in the order of its encoded keys; an empty value has
// no "=".
func oss4Query(query url.Values) string {
	var pairs []string
	for key, values := range query {
		for _, value := range values {
			pair := escaped(key, "")
			if value != "" {
				pair += "=" + escaped(value, "")
			}
			pairs = append(pairs, pair)
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		a, _, _ = strings.Cut(a, "=")
		b, _, _ = strings.Cut(b, "=")
		return strings.Compare(a, b)
	})
	return strings.Join(pairs, "&")
}

// escaped escapes all but what never needs it, and what is to stay.
func escaped(text, stay string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~"+stay, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
