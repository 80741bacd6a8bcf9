package huawei

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch"
)

// Whatever the credentials file holds, no error quotes it, and a key in it is
// read as it is written.
func FuzzReadProfile(f *testing.F) {
	file := filepath.Join(f.TempDir(), "credentials")
	f.Setenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE", file)
	for _, text := range []string{"", "\ufeff; of the team\r\n[team]\r\nak=AK\r\n", "[team.child]\nak : `a`\n", "[a\n", "k\n[b]\n= 1\n", "\"\"\"a\n\"\"\"=b\n", "\xff\xfe", "[DEFAULT]\nsk=1"} {
		f.Add(text, "a#b;c\\d%(ak)s==")
		f.Add(text, "+/=")
	}
	f.Fuzz(func(t *testing.T, text, key string) {
		if err := os.WriteFile(file, []byte(text+"canary"), 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := ReadProfile("team")
		if err != nil && (!errors.Is(err, fetch.ErrAuth) || strings.Contains(err.Error(), "canary")) {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil {
			_ = p.Get("ak")
		}
		if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("\"'`", r) }) {
			return
		}
		if err := os.WriteFile(file, []byte("[other]\nsk = other\n[team]\nak = id\nsk = "+key+"\n[more]\nsk = more\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if p, err = ReadProfile("team"); err != nil || p.Get("sk") != key || p.Get("ak") != "id" || p.Get("token") != "" {
			t.Errorf("%q is read as %q, %v", key, p.Get("sk"), err)
		}
	})
}
