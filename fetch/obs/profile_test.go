package obs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"tallyman/fetch"
)

func TestAProfileHasAllFieldsOfKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[all]\nak = AK\nsk = SK\nsecurity_token = STS\n[token]\ntoken = T\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", file)
	if keys, err := ProfileKeys("all")(t.Context()); err != nil || keys != (Keys{AccessKey: "AK", SecretKey: "SK", SecurityToken: "STS", Source: "section all of " + file}) {
		t.Errorf("other keys, %v", err)
	}
	if _, err := ProfileKeys("token")(t.Context()); !errors.Is(err, fetch.ErrAuth) {
		t.Errorf("a token alone is refused with %v", err)
	}
}

func TestWithoutAProfileTheKeysAreOfTheEnvironment(t *testing.T) {
	t.Setenv("HUAWEICLOUD_SDK_AK", "AK")
	t.Setenv("HUAWEICLOUD_SDK_SK", "SK")
	if keys, err := ProfileKeys("")(t.Context()); err != nil || keys.AccessKey != "AK" {
		t.Errorf("other keys, %v", err)
	}
}
