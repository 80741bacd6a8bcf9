package fetch

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

// forget has the test begin with no secret known, and leaves none.
func forget(t testing.TB) {
	clear := func() {
		hidden.mu.Lock()
		defer hidden.mu.Unlock()
		hidden.order = nil
		hidden.all.Store(nil)
	}
	clear()
	t.Cleanup(clear)
}

const known = `kn0wn/Secret+"with"&marks==`

func inJSON(s string) string {
	b, _ := json.Marshal(s)
	return strings.Trim(string(b), `"`)
}

func TestWhatIsKnownIsHiddenInEveryForm(t *testing.T) {
	forget(t)
	Hide(known)
	for name, form := range map[string]string{
		"as it is": known, "twice": known + known,
		"in a query": url.QueryEscape(known), "in a query, twice": url.QueryEscape(url.QueryEscape(known)),
		"in small letters": strings.NewReplacer("%2F", "%2f", "%2B", "%2b").Replace(url.QueryEscape(known)),
		"in a path":        url.PathEscape(known),
		"in JSON":          inJSON(known), "in JSON, twice": inJSON(inJSON(known)),
		"with its slashes escaped": strings.ReplaceAll(known, "/", `\/`),
		"quoted":                   strconv.Quote(known), "quoted twice": strconv.Quote(strconv.Quote(known)),
		"in HTML": html.EscapeString(known), "in HTML, by names": strings.NewReplacer("&", "&amp;", `"`, "&quot;").Replace(known),
		"in a shell": "'" + known + "'",
	} {
		got := Redact("before " + form + " after")
		if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, gone) {
			t.Errorf("%s: %s becomes %s", name, form, got)
		}
		for i := range len(known) - 8 {
			if part := known[i : i+8]; strings.Contains(got, part) {
				t.Errorf("%s: %s shows %s", name, got, part)
			}
		}
	}
}

func TestWhatIsKnownIsHiddenInBase64OfAnyText(t *testing.T) {
	forget(t)
	Hide(known)
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
		for before := range 4 {
			for after := range 3 {
				text := alphabet.EncodeToString([]byte("user"[:before] + known + "end"[:after]))
				if got := Redact(url.QueryEscape(text)); len(got) > len(gone)+16 {
					t.Errorf("%s becomes %s", text, got)
				}
				if got := Redact("is " + text); len(got) > len("is ")+len(gone)+16 {
					t.Errorf("%s becomes %s", text, got)
				}
			}
		}
	}
}

func TestWhatIsNoSecretByItselfIsKept(t *testing.T) {
	forget(t)
	Hide("", "short1", "password", "tallyman", "12345678", "20250830")
	if text := "tallyman: the password of 20250830 is short1"; Redact(text) != text {
		t.Errorf("%s becomes %s", text, Redact(text))
	}
}

func TestASecretThatIsTheStartOfAnotherLeavesNoRest(t *testing.T) {
	forget(t)
	Hide("secret-1", "secret-1-longer")
	if got := Redact("is secret-1-longer, secret-1"); got != "is ***, ***" {
		t.Errorf("%s", got)
	}
}

func TestRenewedSecretsTakeThePlaceOfOldOnes(t *testing.T) {
	forget(t)
	name := func(i int) string { return fmt.Sprintf("secret-number-%04d", i) }
	for i := range 1000 {
		Hide(name(i), name(i))
	}
	if n := len(hidden.quotes()); n != knownFirst+knownLast {
		t.Errorf("%d are known", n)
	}
	for i, want := range map[int]string{0: gone, knownFirst - 1: gone, knownFirst: name(knownFirst), 999: gone, 1000 - knownLast: gone} {
		if got := Redact(name(i)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestProofsInAQueryAreHiddenByThemselves(t *testing.T) {
	forget(t)
	HideQuery("OSSAccessKeyId=LTAI5tAnId0001&Expires=1756539753&Signature=D8iq2%2Bproof%3D&security-token=CAIS0token%2F&x-oss-signature-version=OSS4-HMAC-SHA256")
	want := "<Id>LTAI5tAnId0001</Id><Provided>***</Provided> *** OSS4-HMAC-SHA256 1756539753"
	if got := Redact("<Id>LTAI5tAnId0001</Id><Provided>D8iq2+proof=</Provided> CAIS0token/ OSS4-HMAC-SHA256 1756539753"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func FuzzHideLeavesNoForm(f *testing.F) {
	f.Add("before", known, "after")
	f.Add("", `\d+[^a]{2}(`, "%")
	f.Add("%", "\x00\xff\n\"'<>", "")
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		secret += "canary42"
		forget(t)
		Hide(secret)
		for _, form := range []string{secret, url.PathEscape(secret), url.QueryEscape(url.QueryEscape(secret)), strings.Trim(strconv.Quote(secret), `"`)} {
			if strings.ContainsFunc(secret, func(r rune) bool { return r > '~' || r < ' ' || r == ' ' }) && form != secret {
				continue
			}
			if got := Redact(before + "\n" + form + "\n" + after); strings.Contains(got, form) && !strings.Contains(before+after, form) {
				t.Errorf("%q in %q", form, got)
			}
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	forget(b)
	for i := range 20 {
		Hide(fmt.Sprintf("secret/number+%04d/%030d", i, i))
	}
	line := `time=2025-08-30T07:42:33Z level=WARN msg=failed ref=sls://cn-hangzhou/ali-test-project/download-123 cause=network error="read download-123.csv: GET https://bucket.oss-cn-hangzhou.aliyuncs.com/download-123.csv: connection reset by peer"` + "\n"
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		Redact(line)
	}
}
