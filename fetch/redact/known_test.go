package redact

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// forgetAll empties the set of known secrets now and at the end of the test.
func forgetAll(t testing.TB) {
	empty := func() {
		known.mu.Lock()
		defer known.mu.Unlock()
		known.order, known.set = nil, nil
	}
	empty()
	t.Cleanup(empty)
}

// marked is a secret with every kind of byte that some notation escapes.
const marked = `kn0wn/Secret+"with"&marks==`

func inJSON(s string) string {
	b, _ := json.Marshal(s)
	return strings.Trim(string(b), `"`)
}

func TestKnownSecretsAreMaskedInEveryForm(t *testing.T) {
	forgetAll(t)
	Add(marked)
	for name, form := range map[string]string{
		"as it is": marked, "twice": marked + marked,
		"in a query": url.QueryEscape(marked), "in a query, twice": url.QueryEscape(url.QueryEscape(marked)),
		"in small letters": strings.NewReplacer("%2F", "%2f", "%2B", "%2b").Replace(url.QueryEscape(marked)),
		"in a path":        url.PathEscape(marked),
		"in JSON":          inJSON(marked), "in JSON, twice": inJSON(inJSON(marked)),
		"with its slashes escaped": strings.ReplaceAll(marked, "/", `\/`),
		"quoted":                   strconv.Quote(marked), "quoted twice": strconv.Quote(strconv.Quote(marked)),
		"in HTML": html.EscapeString(marked), "in HTML, by names": strings.NewReplacer("&", "&amp;", `"`, "&quot;").Replace(marked),
		"in a shell": "'" + marked + "'",
	} {
		got := Text("before " + form + " after")
		if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, mask) {
			t.Errorf("%s: %s becomes %s", name, form, got)
		}
		for i := range len(marked) - 8 {
			if part := marked[i : i+8]; strings.Contains(got, part) {
				t.Errorf("%s: %s shows %s", name, got, part)
			}
		}
	}
}

func TestKnownSecretsAreMaskedInBase64(t *testing.T) {
	forgetAll(t)
	Add(marked)
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
		for before := range 4 {
			for after := range 3 {
				text := alphabet.EncodeToString([]byte("user"[:before] + marked + "end"[:after]))
				if got := Text(url.QueryEscape(text)); len(got) > len(mask)+16 {
					t.Errorf("%s becomes %s", text, got)
				}
				if got := Text("is " + text); len(got) > len("is ")+len(mask)+16 {
					t.Errorf("%s becomes %s", text, got)
				}
			}
		}
	}
}

func TestAddIgnoresSecretsThatLookLikeOrdinaryText(t *testing.T) {
	forgetAll(t)
	Add("", "short1", "password", "tallyman", "12345678", "20250830")
	if text := "tallyman: the password of 20250830 is short1"; Text(text) != text {
		t.Errorf("%s becomes %s", text, Text(text))
	}
}

func TestLongerOfTwoSecretsIsMaskedFirst(t *testing.T) {
	forgetAll(t)
	Add("secret-1", "secret-1-longer")
	if got := Text("is secret-1-longer, secret-1"); got != "is ***, ***" {
		t.Errorf("%s", got)
	}
}

func TestAddKeepsTheFirstAndTheNewestSecrets(t *testing.T) {
	forgetAll(t)
	name := func(i int) string { return fmt.Sprintf("secret-number-%04d", i) }
	for i := range 1000 {
		Add(name(i), name(i))
	}
	if n := len(known.set); n != keptFirst+keptLast {
		t.Errorf("%d secrets are known, want %d", n, keptFirst+keptLast)
	}
	for i, want := range map[int]string{0: mask, keptFirst - 1: mask, keptFirst: name(keptFirst), 999: mask, 1000 - keptLast: mask} {
		if got := Text(name(i)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestAddQueryAddsValuesThatAreSecretAlone(t *testing.T) {
	forgetAll(t)
	AddQuery("OSSAccessKeyId=LTAI5tAnId0001&Expires=1756539753&Signature=D8iq2%2Bproof%3D&security-token=CAIS0token%2F&x-oss-signature-version=OSS4-HMAC-SHA256")
	want := "<Id>LTAI5tAnId0001</Id><Provided>***</Provided> *** OSS4-HMAC-SHA256 1756539753"
	if got := Text("<Id>LTAI5tAnId0001</Id><Provided>D8iq2+proof=</Provided> CAIS0token/ OSS4-HMAC-SHA256 1756539753"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzTextMasksEveryFormOfAKnownSecret(f *testing.F) {
	f.Add("before", marked, "after")
	f.Add("", `\d+[^a]{2}(`, "%")
	f.Add("%", "\x00\xff\n\"'<>", "")
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		secret += "canary42"
		forgetAll(t)
		Add(secret)
		for _, form := range []string{secret, url.PathEscape(secret), url.QueryEscape(url.QueryEscape(secret)), strings.Trim(strconv.Quote(secret), `"`)} {
			if strings.ContainsFunc(secret, func(r rune) bool { return r > '~' || r < ' ' || r == ' ' }) && form != secret {
				continue
			}
			if got := Text(before + "\n" + form + "\n" + after); strings.Contains(got, form) && !strings.Contains(before+after, form) {
				t.Errorf("%q in %q", form, got)
			}
		}
	})
}

func BenchmarkText(b *testing.B) {
	forgetAll(b)
	for i := range 20 {
		Add(fmt.Sprintf("secret/number+%04d/%030d", i, i))
	}
	line := `time=2025-08-30T07:42:33Z level=WARN msg=failed ref=sls://cn-hangzhou/ali-test-project/download-123 cause=network error="read download-123.csv: GET https://bucket.oss-cn-hangzhou.aliyuncs.com/download-123.csv: connection reset by peer"` + "\n"
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		Text(line)
	}
}
