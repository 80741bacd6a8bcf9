package obs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

func TestKeysComeFromTheEnvironment(t *testing.T) {
	t.Setenv("HUAWEICLOUD_SDK_AK", " "+temporary.AccessKey)
	t.Setenv("HUAWEICLOUD_SDK_SK", temporary.SecretKey+"\n")
	t.Setenv("HUAWEICLOUD_SDK_SECURITY_TOKEN", temporary.SecurityToken)
	want := temporary
	want.Source = "the environment (HUAWEICLOUD_SDK_AK)"
	if got, err := ProfileKeys("")(t.Context()); err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	_, store := serveTo(t, temporary, map[string]string{"a": "x"})
	store.Keys = nil
	if got := fetchtest.ReadAll(t, only(t, store), 0, 1); got != "x" {
		t.Errorf("got %q", got)
	}
}

// Without keys the SDK would send calls without a signature.
func TestWithoutKeysNothingIsSent(t *testing.T) {
	t.Setenv("HUAWEICLOUD_SDK_AK", "id")
	t.Setenv("HUAWEICLOUD_SDK_SK", "")
	store := asking(func(*http.Request) (*http.Response, error) {
		t.Error("it was asked")
		return nil, io.ErrUnexpectedEOF
	})
	for name, find := range map[string]func(context.Context) (Keys, error){"environment": nil, "no SK": StaticKeys(Keys{AccessKey: "id"}), "no AK": StaticKeys(Keys{SecretKey: "secret"})} {
		store.Keys = find
		err := read(t, store, "a")
		if !errors.Is(err, fetch.ErrAuth) || !strings.Contains(err.Error(), "set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestKeysHideTheirSecrets(t *testing.T) {
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		for _, value := range []any{temporary, &temporary, []Keys{temporary}, struct{ K Keys }{temporary}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "keys", temporary)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "keys", temporary, "all", []Keys{temporary})
	if err := json.NewEncoder(&out).Encode(temporary); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "canary") || !strings.Contains(out.String(), "access key HUAWEIid") {
		t.Errorf("it shows\n%s", &out)
	}
}
