package acs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aliyun/credentials-go/credentials/providers"

	"tallyman/fetch"
)

const secret, token = "SECRETcanary", "TOKENcanary"

// noCredentials hides the credentials of this machine from a test.
func noCredentials(t *testing.T) (home string) {
	t.Helper()
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "ALIBABA_CLOUD_") {
			t.Setenv(name, "")
		}
	}
	home = t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
	return home
}

func configure(t *testing.T, home, config string) {
	t.Helper()
	name := filepath.Join(home, ".aliyun", "config.json")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
}

const profile = `{"current":"default","profiles":[{"name":"default","mode":"StsToken",
	"access_key_id":"LTAIfile","access_key_secret":"` + secret + `","sts_token":"` + token + `"}]}`

func TestDefaultReadsTheEnvironment(t *testing.T) {
	noCredentials(t)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAIenv")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret+"\n")
	t.Setenv("ALIBABA_CLOUD_SECURITY_TOKEN", token)
	check(t, new(Credentials), Keys{"LTAIenv", secret, token, "the environment (ALIBABA_CLOUD_ACCESS_KEY_ID)"})
}

func TestDefaultReadsTheFileOfTheCommandLine(t *testing.T) {
	configure(t, noCredentials(t), profile)
	check(t, new(Credentials), Keys{"LTAIfile", secret, token, "~/.aliyun/config.json"})
}

func TestDefaultReadsTheFileOfTheSDKs(t *testing.T) {
	ini := filepath.Join(noCredentials(t), "sdk.ini")
	if err := os.WriteFile(ini, []byte("[default]\nenable = true\ntype = access_key\naccess_key_id = LTAIini\naccess_key_secret = "+secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ALIBABA_CLOUD_CREDENTIALS_FILE", ini)
	check(t, new(Credentials), Keys{"LTAIini", secret, "", ini + " (ALIBABA_CLOUD_CREDENTIALS_FILE)"})
}

func TestDefaultAsksTheServerThatIsSet(t *testing.T) {
	noCredentials(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":"STS.uri","AccessKeySecret":%q,"SecurityToken":%q,"Expiration":"2099-01-02T03:04:05Z"}`, secret, token)
	}))
	defer server.Close()
	t.Setenv("ALIBABA_CLOUD_CREDENTIALS_URI", server.URL)
	check(t, new(Credentials), Keys{"STS.uri", secret, token, "ALIBABA_CLOUD_CREDENTIALS_URI"})
}

func TestTheEnvironmentIsReadBeforeFiles(t *testing.T) {
	configure(t, noCredentials(t), profile)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAIenv")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", secret)
	check(t, new(Credentials), Keys{"LTAIenv", secret, "", "the environment (ALIBABA_CLOUD_ACCESS_KEY_ID)"})
}

func TestStaticReturnsItsKeys(t *testing.T) {
	check(t, Static(Keys{"id", "s", "", ""}), Keys{"id", "s", "", ""})
}

func check(t *testing.T, c *Credentials, want Keys) {
	t.Helper()
	got, err := c.Keys(t.Context())
	if err != nil || got != want {
		t.Errorf("got %v with its secrets equal: %t, %v; want %v", got, got == want, err, want)
	}
}

func TestNoCredentialsIsAnErrorThatSaysWhatToSet(t *testing.T) {
	noCredentials(t)
	_, err := new(Credentials).Keys(t.Context())
	var call *fetch.CallError
	if !errors.As(err, &call) || !errors.Is(err, fetch.ErrAuth) {
		t.Fatalf("got %v, want a CallError of kind ErrAuth", err)
	}
	for _, name := range []string{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "aliyun configure"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}

func TestABrokenFileIsNotQuoted(t *testing.T) {
	configure(t, noCredentials(t), profile+"}")
	_, err := new(Credentials).Keys(t.Context())
	if !errors.Is(err, fetch.ErrAuth) || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v, want ErrAuth without a secret", err)
	}
}

func TestCredentialsThatComeLaterAreFound(t *testing.T) {
	home := noCredentials(t)
	c := new(Credentials)
	if _, err := c.Keys(t.Context()); !errors.Is(err, fetch.ErrAuth) {
		t.Fatalf("without keys: got %v, want ErrAuth", err)
	}
	configure(t, home, profile)
	check(t, c, Keys{"LTAIfile", secret, token, "~/.aliyun/config.json"})
}

func TestKeysThatCannotBeRenewedAreATemporaryFailure(t *testing.T) {
	c := Static(Keys{"id", secret, token, ""})
	check(t, c, Keys{"id", secret, token, ""})
	c.ask = func() (*providers.Credentials, error) { return nil, errors.New("no network, " + secret) }
	_, err := c.Keys(t.Context())
	if !errors.Is(err, fetch.ErrTemporary) || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v, want ErrTemporary without a secret", err)
	}
}

func TestManyGoroutinesMayAskForKeys(t *testing.T) {
	configure(t, noCredentials(t), profile)
	c := new(Credentials)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { check(t, c, Keys{"LTAIfile", secret, token, "~/.aliyun/config.json"}) })
	}
	wg.Wait()
}

func TestCancelEndsTheWait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	hung := make(chan struct{})
	defer close(hung)
	c := &Credentials{ask: func() (*providers.Credentials, error) { <-hung; return nil, errors.New("too late") }}
	if _, err := c.Keys(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestKeysHideTheirSecrets(t *testing.T) {
	keys := Keys{"LTAIid", secret, token, ""}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T"} {
		for _, value := range []any{keys, &keys, []Keys{keys}, map[string]Keys{"k": keys}, struct{ K Keys }{keys}, Static(keys)} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "keys", keys)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "keys", keys, "all", []Keys{keys})
	if err := json.NewEncoder(&out).Encode(keys); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"canary", fmt.Sprintf("%x", "canary"), fmt.Sprintf("%X", "canary")} {
		if strings.Contains(out.String(), form) {
			t.Errorf("a secret in\n%s", &out)
		}
	}
	if !strings.Contains(out.String(), "LTAIid") {
		t.Error("the ID is nowhere")
	}
}
