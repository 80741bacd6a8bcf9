package api

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"tallyman/verify"
)

var bodies = []string{
	`{"errorCode":"JobNotExist","errorMessage":"job not exist"}`, `{"Data":{"PublicUrl":"https://h/a?Signature=x"},"Success":true}`,
	`[1,"2",null,{"a":[true,1e400]}]`, `"\u0000\ud800"`, `{"a":"https:\/\/h\/a?b=c"}`, "<p>\x1b[2J", "", "{}{}", "\xff", `{"url":"?a"}`,
}

// What is shown or kept of an answer has no key in it, is printable, and is
// short.
func FuzzAnAnswerTellsNoKey(f *testing.F) {
	for _, body := range bodies {
		f.Add(body, " and ", "https://h.example/a?OSSAccessKeyId=1&Signature=2")
	}
	f.Fuzz(func(t *testing.T, before, after, text string) {
		if strings.Contains(before+after+text, key) {
			return
		}
		a := answer(before+key+after, key)
		excerpt, line := a.Excerpt(), OneLine(before+key+after)
		if strings.Contains(excerpt+line, key) || len([]rune(excerpt)) > excerptLength {
			t.Errorf("%q is shown as %q and %q", a.Body, excerpt, line)
		}
		if unfit := func(r rune) bool { return !unicode.IsPrint(r) }; strings.ContainsFunc(excerpt+line, unfit) {
			t.Errorf("%q is shown as %q and %q", a.Body, excerpt, line)
		}
		body, _ := json.Marshal(map[string]any{before + "k": []any{after + key, map[string]any{"URL": text + "?x=" + key}}, "n": json.Number("1")})
		a.Body = body
		kept, err := json.Marshal(a.Scrubbed("url"))
		if err != nil || strings.Contains(string(kept), key) || !strings.Contains(string(kept), `"n":1`) {
			t.Errorf("%s is kept as %s, %v", body, kept, err)
		}
	})
}

// What is kept of an answer is JSON, and stays the same if it is scrubbed once
// more.
func FuzzScrubbed(f *testing.F) {
	for _, body := range bodies {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		a := answer(string(body))
		kept := a.Scrubbed("url", "filePath")
		b, err := json.Marshal(kept)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		a.Body = b
		again, err := json.Marshal(a.Scrubbed("url", "filePath"))
		if err != nil || string(again) != string(b) {
			t.Errorf("%q is kept as %s, and that as %s, %v", body, b, again, err)
		}
	})
}

// A field of any value is read, and so are the fields beside it.
func FuzzLoose(f *testing.F) {
	for _, s := range append(bodies, "1", "-1", "1e3", `" 12 "`, "true", "9223372036854775808", `"True\n"`, `"+1"`) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		if !json.Valid(value) {
			return
		}
		var v struct {
			A, B  LenientString
			Inner struct{ C LenientString }
			List  []LenientString
		}
		body := `{"B":"2","Inner":` + string(value) + `,"A":` + string(value) + `,"List":` + string(value) + `}`
		if err := Unmarshal([]byte(body), &v); err != nil || v.B != "2" {
			t.Fatalf("%s: %+v, %v", body, v, err)
		}
		n, err := strconv.ParseInt(string(v.A), 10, 64)
		if count := v.A.Count(); count < verify.Unknown || count != verify.Unknown && (err != nil && !strings.HasPrefix(string(v.A), "0") || count != n) {
			t.Errorf("%s counts %d", value, count)
		}
		var text string
		if json.Unmarshal(value, &text) == nil && string(v.A) != strings.TrimSpace(text) {
			t.Errorf("%s is %q", value, v.A)
		}
		if !utf8.ValidString(string(v.A)) {
			t.Errorf("%q is %q", value, v.A)
		}
	})
}

// The name of a file is one element of a path, and an endpoint is a host.
func FuzzAddresses(f *testing.F) {
	for _, s := range []string{"https://h/d/f.zip?a=/b", "http://h/d%2Fa%20b", "https://h/%2E.", "https://h/%2e%2e%2f", "oss://b/k", "https://u:canary@h:1/", "http://[::1]:80", "https://h\\/a", "//h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		name, ok := FileName(address, "other")
		u, err := url.Parse(address)
		if web := err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"); ok != web || ok && (name == "" || name == "." || name == ".." || strings.Contains(name, "/")) {
			t.Errorf("%q has the name %q, %t", address, name, ok)
		}
		endpoint, err := Endpoint(address, "vendor.example")
		if err == nil && (endpoint.Host == "" || endpoint.User != nil || endpoint.Path+endpoint.RawQuery+endpoint.Fragment != "") {
			t.Errorf("%q is the endpoint %q", address, endpoint)
		}
		_ = (&Answer{Header: http.Header{"Date": {address}}}).ClockHint()
	})
}
