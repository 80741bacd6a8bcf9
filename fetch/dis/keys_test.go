package dis

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"tallyman/fetch"
)

func TestEnvironmentKeysAreThoseOfTheVendorsVariables(t *testing.T) {
	for _, c := range []struct {
		name string
		set  map[string]string
		want Keys // the zero Keys are an error
	}{
		{"a key", map[string]string{"AK": " id ", "SK": "secret\n", "PROJECT_ID": "p"}, Keys{AccessKey: "id", SecretKey: "secret", ProjectID: "p"}},
		{"a temporary key", map[string]string{"AK": "id", "SK": "secret", "SECURITY_TOKEN": "sts"}, Keys{AccessKey: "id", SecretKey: "secret", SecurityToken: "sts"}},
		{"a token", map[string]string{"TOKEN": "t"}, Keys{Token: "t"}},
		{"a token and a key", map[string]string{"TOKEN": "t", "AK": "id", "SK": "secret"}, Keys{Token: "t", AccessKey: "id", SecretKey: "secret"}},
		{"a key without its secret", map[string]string{"AK": "id"}, Keys{}},
		{"nothing", nil, Keys{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, name := range []string{"AK", "SK", "SECURITY_TOKEN", "PROJECT_ID", "TOKEN"} {
				t.Setenv("HUAWEICLOUD_SDK_"+name, c.set[name])
			}
			got, err := ProfileKeys("")(t.Context())
			if variable := map[bool]string{true: "AK", false: "TOKEN"}[c.set["AK"] != ""]; (got.Source != "the environment (HUAWEICLOUD_SDK_"+variable+")") != (err != nil) {
				t.Errorf("they are from %q", got.Source)
			}
			got.Source = ""
			if got != c.want || (err == nil) == (c.want == Keys{}) || err != nil && !errors.Is(err, fetch.ErrAuth) {
				t.Errorf("got %#v, %v", got, err)
			}
		})
	}
}

func TestKeysShowTheirIDOnly(t *testing.T) {
	keys := Keys{AccessKey: "id", SecretKey: "canary", SecurityToken: "canary", Token: "canary"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("keys", "keys", keys)
	b, err := json.Marshal(keys)
	for _, shown := range []string{fmt.Sprint(keys), fmt.Sprintf("%+v %#v %q", keys, keys, keys), log.String(), string(b)} {
		if err != nil || strings.Contains(shown, "canary") || !strings.Contains(shown, "id") {
			t.Errorf("got %s, %v", shown, err)
		}
	}
}
