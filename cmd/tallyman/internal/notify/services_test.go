package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// canary is in each secret of these tests, and in nothing that is told.
const canary = "canary-of-notify"

// secretFile writes a secret to a file.
func secretFile(t *testing.T, text string) Secret {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Secret{File: path}
}

// isNow reports whether a number in a text is this minute, in some unit.
func isNow(text string, unit time.Duration) bool {
	n, err := strconv.ParseInt(text, 10, 64)
	return err == nil && time.Since(time.Unix(0, n*int64(unit))).Abs() < time.Minute
}

// mac is an HMAC-SHA256 in Base64, made otherwise than by the package.
func mac(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(h, text)
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// A judged request, as a service sees it.
type judged struct {
	*http.Request
	raw  string
	body map[string]any
}

func (j judged) text(path ...string) string {
	at := any(j.body)
	for _, name := range path {
		m, _ := at.(map[string]any)
		at = m[name]
	}
	text, _ := at.(string)
	return text
}

// chats judge a request as each chat does, and return the text of its message and what is
// answered.
var chats = map[Service]func(j judged) (text, answer string){
	DingTalk: func(j judged) (string, string) {
		q := j.URL.Query()
		if !isNow(q.Get("timestamp"), time.Millisecond) || q.Get("sign") != mac(canary, q.Get("timestamp")+"\n"+canary) || q.Get("access_token") != "canary-access-token" {
			return "", `{"errcode":310000,"errmsg":"sign not match ` + canary + `"}`
		}
		return j.text("text", "content"), `{"errcode":0,"errmsg":"ok"}`
	},
	Feishu: func(j judged) (string, string) {
		now := j.text("timestamp")
		if !isNow(now, time.Second) || j.text("sign") != mac(now+"\n"+canary, "") || j.text("msg_type") != "text" {
			return "", `{"code":19021,"msg":"sign match fail or timestamp is not within one hour from current time"}`
		}
		return j.text("content", "text"), `{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}`
	},
	WeCom: func(j judged) (string, string) {
		text := j.text("text", "content")
		if j.URL.Query().Get("key") != "canary-wecom-key-1" || j.text("msgtype") != "text" || len(text) > 2048 {
			return "", `{"errcode":93000,"errmsg":"invalid webhook url"}`
		}
		return text, `{"errcode":0,"errmsg":"ok"}`
	},
}

// newService is a fake of a service that takes one message.
func newService(t *testing.T, by Service) (*Target, chan string) {
	took := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		j := judged{Request: r, raw: string(raw)}
		err := json.Unmarshal(raw, &j.body)
		text, answer := "", "ok"
		switch at := r.Header.Get("webhook-timestamp"); {
		case by == Ping:
			text = r.Method
		case err != nil:
		case by == Webhook && isNow(at, time.Second) && r.Header.Get("webhook-signature") == "v1,"+mac(canary, r.Header.Get("webhook-id")+"."+at+"."+j.raw):
			text = j.text("title")
		case by == Slack && strings.HasSuffix(r.URL.Path, "/canary-slack-hook-id-1"):
			text = j.text("text")
		case chats[by] != nil:
			text, answer = chats[by](j)
		}
		if text == "" && chats[by] == nil {
			http.Error(w, "invalid_token canary-of-notify", http.StatusForbidden)
			return
		}
		if text != "" {
			took <- text
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	path := map[Service]string{DingTalk: "/robot/send?access_token=canary-access-token", WeCom: "/cgi-bin/webhook/send?key=canary-wecom-key-1"}[by]
	if path == "" {
		path = "/services/canary-slack-hook-id-1"
	}
	return &Target{Name: "ops", By: by, URL: secretFile(t, server.URL+path), Secret: secretFile(t, canary)}, took
}

// Each service takes a message that is as it wants it, however long, and what it refuses is
// told as refused. No error says a secret.
func TestEachServiceTakesItsMessage(t *testing.T) {
	t.Parallel()
	m := Message{Title: "Tallyman: 1 failed", ID: "1", Lines: []string{"a<b", strings.Repeat("长", 3000)}}
	for _, by := range []Service{DingTalk, Feishu, WeCom, Slack, Webhook, Ping} {
		target, took := newService(t, by)
		if err := target.Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", by, err)
			continue
		}
		if text := <-took; by != Ping && !strings.Contains(text, m.Title) || !utf8.ValidString(text) || by == Slack && !strings.Contains(text, "a&lt;b") {
			t.Errorf("%s took %.40q", by, text)
		}
		address, _ := target.URL.Read()
		wrong := *target
		switch by {
		case WeCom, Slack:
			wrong.URL = secretFile(t, address+"2")
		default:
			wrong.Secret = secretFile(t, canary+"-2")
		}
		if err := wrong.Send(t.Context(), m); by != Ping && !errors.Is(err, ErrRefused) || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s, wrong: %v", by, err)
		}
		for _, broken := range []Secret{secretFile(t, "http://127.0.0.1:1/canary-of-notify?key="+canary), secretFile(t, canary+"\x7f://canary"), secretFile(t, ""), {File: "/no/file"}, {Env: "NO_SUCH_VARIABLE"}} {
			wrong.URL = broken
			if err := wrong.Send(t.Context(), m); err == nil || errors.Is(err, ErrRefused) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s, at %v: %v", by, broken, err)
			}
		}
	}
}

// What a service answers counts, whatever its status says.
func TestAnAnswerThatSaysNoIsARefusal(t *testing.T) {
	t.Parallel()
	for answer, refused := range map[string]bool{
		`{"errcode":0,"errmsg":"ok"}`: false, `{"code":0}`: false, `{"StatusCode":0}`: false,
		`{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}`: true, `{"errcode":45009,"errmsg":"api freq out of limit"}`: true,
		`{"code":19024,"msg":"Key Words Not Found"}`: true, `{"StatusCode":1}`: true, `{"code":-1}`: true, `{}`: true, "ok": true, "": true, "<html>": true,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
		target := Target{Name: "ops", By: DingTalk, URL: secretFile(t, server.URL)}
		if err := target.Send(t.Context(), Message{}); errors.Is(err, ErrRefused) != refused || err != nil && !refused {
			t.Errorf("%s: %v", answer, err)
		}
		server.Close()
	}
}

// A redirect is no place that a message was to go to.
func TestNoRedirectIsFollowed(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/", http.StatusTemporaryRedirect))
	defer server.Close()
	target := Target{Name: "ops", By: Webhook, URL: secretFile(t, server.URL)}
	if err := target.Send(t.Context(), Message{}); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
}

// The first is the reference of Standard Webhooks. The others are the vendors' own formulas,
// worked out by openssl.
func TestSignaturesAreThoseOfTheVendors(t *testing.T) {
	t.Parallel()
	got, err := signWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, []byte(`{"test": 2432232314}`))
	if got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" || err != nil {
		t.Error("webhook:", got, err)
	}
	if _, err := signWebhook("whsec_"+canary, "", 0, nil); err == nil || strings.Contains(err.Error(), canary) {
		t.Error("no Base64:", err)
	}
	if got := signDingTalk("this is secret", 1767312000000); got != "Rb0NKu7hJJDypVj2AjPVOsym0VDYj1x9WDYh9TJEcvo=" {
		t.Error("dingtalk:", got)
	}
	if got := signFeishu("demo-secret", 1599360473); got != "3/MaVZ8JLIy4TUG+7KSFJqvUkTKd+HWY8g+56DZWq8s=" {
		t.Error("feishu:", got)
	}
}

// A chat that wants a keyword gets it once.
func TestAKeywordIsInTheText(t *testing.T) {
	t.Parallel()
	m := Message{Title: "Tallyman: 1 failed"}
	for keyword, want := range map[string]string{"": "Tallyman: 1 failed", "Tallyman": "Tallyman: 1 failed", "告警": "告警\nTallyman: 1 failed"} {
		if got := (&Target{Keyword: keyword}).chatText(m); got != want {
			t.Errorf("%q: %q", keyword, got)
		}
	}
	if fmt.Sprint(cut("一一", 4)) != "一…" {
		t.Error(cut("一一", 4))
	}
}
