package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify"
)

const key = "CAIS/canary+long/enough=="

func answer(body string, secrets ...string) *Answer {
	redact.Add(secrets...)
	return &Answer{Call: "Get", Status: 200, Header: http.Header{}, Body: []byte(body)}
}

func TestRedactKnowsAKeyInAnyForm(t *testing.T) {
	redact.Add("", "short", key)
	for _, c := range []struct{ name, text, want string }{
		{"as it is", "a " + key + " b", "a *** b"},
		{"twice", key + key, "******"},
		{"escaped in a query", url.QueryEscape(key), "***"},
		{"escaped twice", url.QueryEscape(url.QueryEscape(key)), "***"},
		{"escaped three times", url.QueryEscape(url.QueryEscape(url.QueryEscape(key))), "***"},
		{"escaped in small letters", strings.ToLower("%2f") + url.QueryEscape("x"), "%2fx"},
		{"escaped in JSON", strings.NewReplacer("/", `\/`, "=", `\u003d`).Replace(key), "***"},
		{"escaped in HTML", strings.NewReplacer("/", "&#47;", "=", "&#X3D;", "+", "&#x2b;").Replace(key), "***"},
		{"what is another text", "CAIS/canary", "CAIS/canary"},
		{"what is too short to be a key", "short cut", "short cut"},
		{"a signed URL", "see https://h/p?Signature=canary.", "see https://h/p?Signature."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := redact.Text(c.text); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestScrubbedKeepsAllButSecrets(t *testing.T) {
	a := answer(`{"n":9007199254740993,"b":true,"z":null,"url":"oss://b/k?canary#canary","URL":["https://h/p?x=1"],
		"other":"https://h/p?x=1&Signature=canary","`+key+`":"`+key+`","list":[{"url":"?canary"}]}`, key)
	b, err := json.Marshal(a.Scrubbed("url"))
	want := `{"***":"***","URL":["https://h/p"],"b":true,"list":[{"url":""}],"n":9007199254740993,"other":"https://h/p?x\u0026Signature","url":"oss://b/k","z":null}`
	if err != nil || string(b) != want {
		t.Errorf("got  %s, %v\nwant %s", b, err, want)
	}
	if got := answer("<p>").Scrubbed(); got != nil {
		t.Errorf("got %v for what is not JSON", got)
	}
}

func TestAnExcerptIsPrintable(t *testing.T) {
	a := answer("<p>\x1b[2J\n\t"+key+" a?b=canary \ufffd\xff"+strings.Repeat("ä", 200), key)
	want := "<p> [2J *** a? " + strings.Repeat("ä", 85)
	if got := a.Excerpt(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLenientStringReadsAnyValue(t *testing.T) {
	for _, c := range []struct {
		json  string
		want  LenientString
		count int64
		yes   bool
	}{
		{`" a "`, "a", verify.Unknown, false},
		{`"True\n"`, "True", verify.Unknown, true},
		{`true`, "true", verify.Unknown, true},
		{`"false"`, "false", verify.Unknown, false},
		{`1`, "1", 1, false},
		{`"12"`, "12", 12, false},
		{`9007199254740993`, "9007199254740993", 9007199254740993, false},
		{`9223372036854775808`, "9223372036854775808", verify.Unknown, false},
		{`-1`, "-1", verify.Unknown, false},
		{`1.5`, "1.5", verify.Unknown, false},
		{`1e3`, "1e3", verify.Unknown, false},
		{`null`, "", verify.Unknown, false},
		{`[1]`, "", verify.Unknown, false},
		{`{"a":1}`, "", verify.Unknown, false},
	} {
		var v struct{ A, B LenientString }
		if err := Unmarshal([]byte(`{"A":`+c.json+`,"B":2}`), &v); err != nil || v.A != c.want || v.A.Count() != c.count || v.A.True() != c.yes || v.B != "2" {
			t.Errorf("%s: got %q, %d, %t, %v", c.json, v.A, v.A.Count(), v.A.True(), err)
		}
	}
}

func TestUnmarshalLeavesOutWhatHasAnotherType(t *testing.T) {
	for _, body := range []string{`{"Inner":[1],"B":"2"}`, `{"Inner":"x","B":2}`, `{"Inner":null,"B":2}`} {
		var v struct {
			Inner struct{ A LenientString }
			B     LenientString
		}
		if err := Unmarshal([]byte(body), &v); err != nil || v.B != "2" {
			t.Errorf("%s: got %+v, %v", body, v, err)
		}
	}
	for _, body := range []string{"", "{", "<p>", "{}{}"} {
		if err := Unmarshal([]byte(body), new(struct{})); !errors.As(err, new(*json.SyntaxError)) {
			t.Errorf("%q: got %v, want a syntax error", body, err)
		}
	}
}

func TestFileName(t *testing.T) {
	for _, c := range []struct {
		address, want string
		ok            bool
	}{
		{"https://h/d/f.zip?a=/b", "f.zip", true},
		{"http://h/d%2Fa%20b", "a b", true},
		{"https://h/d/", "d", true},
		{"https://h", "other", true},
		{"https://h/%2E.", "other", true},
		{"oss://b/k", "", false},
		{"https:///p", "", false},
		{"https://h/%zz", "", false},
		{"/p", "", false},
		{"", "", false},
	} {
		if got, ok := FileName(c.address, "other"); got != c.want || ok != c.ok {
			t.Errorf("%s: got %s, %t", c.address, got, ok)
		}
	}
}

func TestEndpoint(t *testing.T) {
	for _, c := range []struct{ address, want string }{
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"https://h.example/", "https://h.example"},
		{"http://[::1]:80", "http://[::1]:80"},
		{"127.0.0.1:80", "endpoint 127.0.0.1:80: want http://HOST:PORT or https://HOST:PORT"},
		{"ftp://h", "endpoint ftp://h: want http://HOST:PORT or https://HOST:PORT"},
		{"http://", "endpoint http://: want http://HOST:PORT or https://HOST:PORT"},
		{"http://u:canary@h/p", "endpoint http://h/p: want http://HOST:PORT or https://HOST:PORT"},
		{"http://u:canary@h", "endpoint http://h: want http://HOST:PORT or https://HOST:PORT"},
		{"", "https://vendor.example"},
	} {
		u, err := Endpoint(c.address, "vendor.example")
		got := fmt.Sprint(u)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.address, got, c.want)
		}
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestAnAnswerIsReadToItsLimit(t *testing.T) {
	for _, n := range []int{MaxAnswer, MaxAnswer + 1, 64 * MaxAnswer} {
		body := &countingReader{Reader: io.LimitReader(endlessReader{}, int64(n))}
		client := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"X-Log-Requestid": {"R1"}}, Body: body}, nil
		})}
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://h/", nil)
		a, err := Send("Get", client, req, MaxAnswer)
		if n > MaxAnswer {
			if call := new(fetch.CallError); !errors.As(err, &call) || !errors.Is(err, fetch.ErrTemporary) || call.RequestID != "R1" {
				t.Errorf("%d bytes: got %v", n, err)
			}
		} else if err != nil || len(a.Body) != n {
			t.Errorf("%d bytes: got %v", n, err)
		}
		if body.n > MaxAnswer+1 || !body.closed {
			t.Errorf("%d bytes: read %d, closed: %t", n, body.n, body.closed)
		}
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

type countingReader struct {
	io.Reader
	n      int
	closed bool
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func (c *countingReader) Close() error {
	c.closed = true
	return nil
}
