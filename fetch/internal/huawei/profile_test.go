package huawei

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch"
)

// writeFile makes text the credentials file of a test.
func writeFile(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", file)
}

func TestAValueIsReadAsItIsWritten(t *testing.T) {
	writeFile(t, "\ufeff; of the team\r\n[team]\r\nak=AK\r\nsk = a#b;c\\d%(ak)s==  \r\nempty =\r\n[team.child]\nak = another\n")
	p, err := ReadProfile("team")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"ak": "AK", "sk": `a#b;c\d%(ak)s==`, "empty": "", "none": ""} {
		if got := p.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

func TestASectionInheritsNothing(t *testing.T) {
	writeFile(t, "ak = default\n[team]\nsk = canary\n[team.child]\nak = own\n")
	p, err := ReadProfile("team.child")
	if err != nil || p.Get("ak") != "own" || p.Get("sk") != "" {
		t.Errorf("it has %q, %v", p.Get("sk"), err)
	}
	if p, err = ReadProfile("team"); err != nil || p.Get("ak") != "" {
		t.Errorf("it has %q, %v", p.Get("ak"), err)
	}
}

func TestTheFileIsInTheHomeUnlessTheEnvironmentNamesOne(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", "")
	if err := os.Mkdir(filepath.Join(home, ".huaweicloud"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".huaweicloud", "credentials"), []byte("[team]\nak = home\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := ReadProfile("team"); err != nil || p.Get("ak") != "home" {
		t.Errorf("read %v", err)
	}
	writeFile(t, "[team]\nak = named\n")
	if p, err := ReadProfile("team"); err != nil || p.Get("ak") != "named" {
		t.Errorf("read %v", err)
	}
}

func TestAnErrorQuotesNothingOfTheFile(t *testing.T) {
	for name, text := range map[string]string{
		"no such section":  "[another]\nsk = canary\n",
		"no form of INI":   "[team]\ncanary\n",
		"an open section":  "[canary\nsk = canary\n",
		"a quote unclosed": "[team]\nsk = \"\"\"canary\n",
	} {
		t.Run(name, func(t *testing.T) {
			writeFile(t, text)
			_, err := ReadProfile("team")
			if !errors.Is(err, fetch.ErrAuth) || strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary") || !strings.Contains(err.Error(), "team") {
				t.Errorf("it is refused with %v", err)
			}
		})
	}
	t.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", t.TempDir())
	if _, err := ReadProfile("team"); !errors.Is(err, fetch.ErrAuth) {
		t.Errorf("a directory is refused with %v", err)
	}
}

func TestAProfileShowsNoSecretWhenItIsPrinted(t *testing.T) {
	writeFile(t, "[team]\nsk = canary\n")
	p, err := ReadProfile("team")
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%v %+v %#v", p, p, p); strings.Contains(text, "canary") {
		t.Errorf("it is printed as %s", text)
	}
}
