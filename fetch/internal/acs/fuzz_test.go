package acs

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// Whatever the answer, a refusal has one kind and one line, and a throttle lasts
// as long as the gateway says, and never less than zero.
func FuzzRefusal(f *testing.F) {
	for _, body := range []string{`{"RequestId":"R1","HostId":"h","Code":"Throttling","Message":"why"}`, `{"Success":false,"ErrorCode":"TenantNotExist"}`,
		`{"Code":404,"Message":["why"]}`, "<html>\n502</html>", `{"code":"A","Code":"B","errCode":{}}`, "null", "", `{"Message":"a\u001b[2J\n"}`} {
		f.Add(400, body, "Limit:1,Remain:0,TimeLeft:700,Reset:1", "Mon, 02 Jan 2006 15:04:05 GMT")
		f.Add(200, body, "TimeLeft:-1, timeleft : 99999999999", "7")
	}
	kinds := []error{fetch.ErrAuth, fetch.ErrNotFound, fetch.ErrThrottled, fetch.ErrTemporary, fetch.ErrRefused}
	f.Fuzz(func(t *testing.T, status int, body, limits, when string) {
		header := http.Header{"X-Ratelimit-User-Api": {limits}, "Retry-After": {when}, "Date": {when}}
		err := Refusal(&api.Answer{Call: "Get", Status: 100 + (status%500+500)%500, Header: header, Body: []byte(body)})
		call, ok := errors.AsType[*fetch.CallError](err)
		if !ok || call.RetryAfter < 0 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("%q, %q: %v", body, limits, err)
		}
		known := 0
		for _, kind := range kinds {
			if errors.Is(err, kind) {
				known++
			}
		}
		if left := timeLeft(header); known != 1 || left < 0 || left >= (1<<31)*time.Millisecond {
			t.Errorf("%q, %q: %v, %v", body, limits, err, left)
		}
	})
}

// Whatever the CLI's file holds, no error quotes it, and the keys in it are read
// as they are written.
func FuzzProfile(f *testing.F) {
	home := f.TempDir()
	f.Setenv("HOME", home)
	file := filepath.Join(home, ".aliyun", "config.json")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{profile, "", "{", "null", `{"profiles":[null]}`, `{"profiles":[{"name":"team","mode":"AK"}]}`, `{"profiles":[{"name":"team"}]}`,
		`{"current":"team","profiles":[{"name":"team","mode":"ChainableRamRoleArn","source_profile":"team"}]}`, `{"profiles":{}}`} {
		f.Add([]byte(text), "SECRET+/=")
	}
	f.Fuzz(func(t *testing.T, text []byte, key string) {
		if mayCall(text) {
			return
		}
		mustWrite(t, file, text)
		_, err := (&Credentials{Profile: "team"}).Keys(t.Context())
		if err != nil && (!errors.Is(err, fetch.ErrAuth) || err.Error() != "find Alibaba Cloud credentials: access denied: profile team has none: run `aliyun configure --profile team`") {
			t.Errorf("%q: %v", text, err)
		}
		if key = strings.TrimSpace(strings.ToValidUTF8(key, "")); key == "" {
			return
		}
		b, err := json.Marshal(map[string]any{"profiles": []any{
			map[string]any{"name": "other", "mode": "AK", "access_key_id": "o", "access_key_secret": "o"},
			map[string]any{"name": "team", "mode": "AK", "access_key_id": "id", "access_key_secret": key},
		}})
		if err != nil {
			t.Fatal(err)
		}
		mustWrite(t, file, b)
		if got, err := (&Credentials{Profile: "team"}).Keys(t.Context()); err != nil || got != (Keys{"id", key, "", "profile team of ~/.aliyun/config.json"}) {
			t.Errorf("%q is read as %q, %v", key, got.AccessKeySecret, err)
		}
	})
}

// mayCall reports whether a profile may be one whose keys come from a service or
// a command.
func mayCall(text []byte) bool {
	for _, mode := range []string{"ram", "oidc", "uri", "external", "sso", "oauth", "role", "ecs", "sts"} {
		if strings.Contains(strings.ToLower(string(text)), mode) || strings.Contains(string(text), `\u`) {
			return true
		}
	}
	return false
}

func mustWrite(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
