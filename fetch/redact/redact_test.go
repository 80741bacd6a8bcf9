package redact

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
)

// A signedForm is a query of a signed URL as an SDK of a store makes it.
type signedForm struct {
	name  string
	query string // everything that must be masked contains SECRET
	names string // what Text leaves of the query
}

// signedForms reads testdata/signed_queries.tsv: name, query and names.
func signedForms(t testing.TB) (forms []signedForm) {
	t.Helper()
	text, err := os.ReadFile("testdata/signed_queries.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 3 {
			t.Fatalf("testdata/signed_queries.tsv: %q has %d fields, want 3", line, len(fields))
		}
		forms = append(forms, signedForm{fields[0], fields[1], fields[2]})
	}
	return forms
}

func TestTextLeavesTheParameterNamesOfSignedURLs(t *testing.T) {
	for _, form := range signedForms(t) {
		if !SecretQuery(form.query) {
			t.Errorf("%s: not seen as a secret", form.name)
		}
		got := Text("https://bucket.oss-cn-hangzhou.aliyuncs.com/a%2Fb.csv?" + form.query)
		if want := "https://bucket.oss-cn-hangzhou.aliyuncs.com/a%2Fb.csv?" + form.names; got != want {
			t.Errorf("%s: %s, want %s", form.name, got, want)
		}
		if again := Text(got); again != got {
			t.Errorf("%s: redacted again: %s, want %s", form.name, again, got)
		}
	}
}

func TestSecretQueryFindsEachSecretParameter(t *testing.T) {
	for _, form := range signedForms(t)[:7] {
		for parameter := range strings.SplitSeq(form.query, "&") {
			if !SecretQuery(parameter) {
				t.Errorf("%s: %s is not seen as a secret", form.name, parameter)
			}
		}
	}
}

func TestTextKeepsPublicQueries(t *testing.T) {
	for _, query := range []string{"", "a=b", "page=2&size=10", "versionId=CAEQ", "author=x&key=y", "a=b%20c", "a", "sort=token", "design=1", "Signature", "a=b;c=d", "uploadId=1&partNumber=2", "u=https%3A%2F%2Fh%2F%3Fa%3Db"} {
		if s := "https://h/a?" + query + " end"; SecretQuery(query) || Text(s) != s {
			t.Errorf("%q becomes %q", s, Text(s))
		}
	}
}

func TestTextKeepsWhatSurroundsURLs(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"no URL", "the job is not ready: RUNNING, 40%", "the job is not ready: RUNNING, 40%"},
		{"question", "why? a=b", "why? a=b"},
		{"no query", "GET https://h/a: HTTP 403", "GET https://h/a: HTTP 403"},
		{"in quotes", `Get "https://h/a?Signature=SECRET": EOF`, `Get "https://h/a?Signature": EOF`},
		{"in single quotes", "get 'https://h/a?Signature=SECRET': EOF", "get 'https://h/a?Signature': EOF"},
		{"in brackets", "see <https://h/a?Signature=SECRET> (https://h/b?token=SECRET).", "see <https://h/a?Signature> (https://h/b?token)."},
		{"several", "https://h/a?Signature=SECRET https://h/b?c=d\nhttps://h/e?token=SECRET, end", "https://h/a?Signature https://h/b?c=d\nhttps://h/e?token, end"},
		{"apostrophe in the path", "https://h/it's.csv?Signature=SECRET end", "https://h/it's.csv?Signature end"},
		{"space in the path", "https://h/a b?Signature=SECRET end", "https://h/a b?Signature end"},
		{"quote in the path", `https://h/a\"b?Signature=SECRET end`, `https://h/a\"b?Signature end`},
		{"without a host", `parse "/a?Signature=SECRET": bad`, `parse "/a?Signature": bad`},
		{"without a scheme", "h/a?Signature=SECRET", "h/a?Signature"},
		{"other scheme", "oss://b/a?Signature=SECRET", "oss://b/a?Signature"},
		{"JSON", `{"url":"https://h/a?b=c\u0026Signature=SECRET\u0026d=e"}`, `{"url":"https://h/a?b&Signature&d"}`},
		{"XML", "<Url>https://h/a?b=c&amp;Signature=SECRET</Url>", "<Url>https://h/a?b&Signature</Url>"},
		{"public fragment", "https://h/a#size=5", "https://h/a#size=5"},
		{"secret in the fragment", "https://h/a#access_token=SECRET&size=5", "https://h/a#access_token&size"},
		{"query behind the fragment", "https://h/a#size=5?Signature=SECRET", "https://h/a#size&Signature"},
		{"fragment behind a secret", "https://h/a?Signature=SEC#RET", "https://h/a?Signature"},
	} {
		if got := Text(tt.in); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestTextDropsUserNamesAndPasswords(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"https://user:SECRET@h/a", "https://h/a"},
		{"https://SECRET@h/a?b=c", "https://h/a?b=c"},
		{"https://user:SE@CRET@h:443/a", "https://h:443/a"},
		{"redis://:SECRET@127.0.0.1:6379/0: connection refused", "redis://127.0.0.1:6379/0: connection refused"},
		{"redis-sentinel://:SECRET@a:5000,b:5000/0", "redis-sentinel://a:5000,b:5000/0"},
		{"https://user:SECRET@[::1]:443/a", "https://[::1]:443/a"},
		{"redis://:x/SECRET@h:6379", "redis://…"},
		{"redis://:x?SECRET@h:6379", "redis://…"},
		{"redis://:x#SECRET@h:6379", "redis://…"},
		{"https://h/@scope/a", "https://h/@scope/a"},
		{"https://h/a?b=c@d", "https://h/a?b=c@d"},
	} {
		if got := Text(tt.in); got != tt.want {
			t.Errorf("%s becomes %s, want %s", tt.in, got, tt.want)
		}
	}
}

// Secrets in escaped URLs, headers and JSON are masked without a URL around them.
func TestTextMasksSecretsOutsideURLs(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"https%3A%2F%2Fh%2Fa%3FExpires%3D1%26Signature%3DSECRET end", "https%3A%2F%2Fh%2Fa%3FExpires%3D1%26Signature end"},
		{"a%253Fx-oss-signature%253DSECRET%252F, end", "a%253Fx-oss-signature, end"},
		{`{"a":"Signature\u003dSECRET\u0026b"}`, `{"a":"Signature"}`},
		{"a&amp;Signature&#61;SECRET&amp;b", "a&amp;Signature&amp;b"},
		{"x-oss-security-token=SEC\nRET", "x-oss-security-token\nRET"},
		{"http%3A%2F%2Fuser%3ASECRET%40h%2Fa", "http%3A%2F%2Fh%2Fa"},
		{`{"a":"redis:\/\/:SECRET@h:6379\/0"}`, `{"a":"redis:\/\/h:6379\/0"}`},
		{"https%3A%2F%2Fh%2F%40scope", "https%3A%2F%2Fh%2F%40scope"},
		{"GET / HTTP/1.1\r\nAuthorization: OSS AK:SECRET\r\nHost: h\r\n", "GET / HTTP/1.1\r\nAuthorization: ***\r\nHost: h\r\n"},
		{`"GET / HTTP/1.1\r\nAuthorization: Basic SECRET=\r\nHost: h\r\n"`, `"GET / HTTP/1.1\r\nAuthorization: ***\r\nHost: h\r\n"`},
		{"map[Authorization:[OSS AK:SECRET] Date:[now]]", "map[Authorization:[***] Date:[now]]"},
		{`{"X-Auth-Token":"SECRET","a":1}`, `{"X-Auth-Token":"***","a":1}`},
		{`{"x-acs-security-token":["SECRET"],"a":1}`, `{"x-acs-security-token":["***"],"a":1}`},
		{`encoding header "authorization" = "OSS SECRET"`, `encoding header "authorization" = "***"`},
		{`{"said":"{\"authorization\":\"OSS SECRET\"}"}`, `{"said":"{\"authorization\":\"***\"}"}`},
		{"GET\n\nx-oss-security-token:SECRET\n/bucket/a", "GET\n\nx-oss-security-token:***\n/bucket/a"},
		{"proxy-authorization: Basic SECRET", "proxy-authorization: ***"},
		{`{"cookie":"","authorization":null,"a":"authorization:","b":"no authorization: "}`, `{"cookie":"","authorization":null,"a":"authorization:","b":"no authorization: "}`},
		{"the token is not valid; authorization failed", "the token is not valid; authorization failed"},
		{`Get "https://h/a?Signature&security-token": EOF`, `Get "https://h/a?Signature&security-token": EOF`},
		{"GET https://h/a?Signature&Security-Token: HTTP 403", "GET https://h/a?Signature&Security-Token: HTTP 403"},
	} {
		if got := Text(tt.in); got != tt.want {
			t.Errorf("%s becomes %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestTextMasksErrorsOfNetHTTP(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, form := range signedForms(t) {
		request, err := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:1/it's%20a.csv?"+form.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = http.DefaultClient.Do(request)
		var failed *url.Error
		if !errors.As(err, &failed) {
			t.Fatalf("%s: %v, want a *url.Error", form.name, err)
		}
		got := Text(err.Error())
		if want := `Get "http://127.0.0.1:1/it's%20a.csv?` + form.names + `": context canceled`; got != want {
			t.Errorf("%s: %s, want %s", form.name, got, want)
		}
	}
}

func FuzzTextMasksSignatures(f *testing.F) {
	for _, s := range []string{"", "https://h/a", "https://h/it's", "Get \"https://h/a", "a\\", "https://h/a?b=c", "https://h/a#b", "https://u:p@h/"} {
		f.Add(s, "Expires=1", " end")
		f.Add(s, "a=b;c", "\" end")
	}
	f.Fuzz(func(t *testing.T, text, query, rest string) {
		if strings.ContainsAny(query, " \t\r\n\v\f\"<>") || strings.Contains(text+query+rest, "SECRET") {
			return
		}
		s := text + "?" + query + "&Signature=SECRET" + rest
		got := Text(s)
		if strings.Contains(got, "SECRET") {
			t.Errorf("%q becomes %q", s, got)
		}
		if again := Text(got); again != got {
			t.Errorf("%q becomes %q, then %q", s, got, again)
		}
	})
}

func FuzzTextKeepsJSONValid(f *testing.F) {
	for _, s := range []string{"https://u:p@h/a?Signature=x\" y", `authorization: "a"`, "cookie:", `a\?Signature=b\`, "Signature\u003d\t", "https:\\/\\/a@b?token=c&d"} {
		f.Add(s, "https://h/?a=b&Signature="+s)
		f.Add("security-token", s)
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		b, err := json.Marshal(map[string]any{key: value, "list": []any{value, key, 1, nil}, "Authorization": nil, "x-auth-token": 5})
		if err != nil {
			return
		}
		if got := Text(string(b)); !json.Valid([]byte(got)) {
			t.Errorf("%s becomes %s", b, got)
		}
	})
}
