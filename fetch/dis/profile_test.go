package dis

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"tallyman/fetch"
)

func TestAProfileHasAllFieldsOfKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	text := "[all]\nak = AK\nsk = SK\nsecurity_token = STS\nproject_id = P\n[token]\ntoken = T\n[half]\nak = AK\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", file)
	for name, want := range map[string]Keys{
		"all":   {AccessKey: "AK", SecretKey: "SK", SecurityToken: "STS", ProjectID: "P"},
		"token": {Token: "T"},
	} {
		want.Source = "section " + name + " of " + file
		if keys, err := ProfileKeys(name)(t.Context()); err != nil || keys != want {
			t.Errorf("profile %s has other keys, %v", name, err)
		}
	}
	if _, err := ProfileKeys("half")(t.Context()); !errors.Is(err, fetch.ErrAuth) {
		t.Errorf("half a key is refused with %v", err)
	}
}

func TestWithoutAProfileTheKeysAreOfTheEnvironment(t *testing.T) {
	t.Setenv("HUAWEICLOUD_SDK_TOKEN", "T")
	if keys, err := ProfileKeys("")(t.Context()); err != nil || keys.Token != "T" {
		t.Errorf("other keys, %v", err)
	}
}
