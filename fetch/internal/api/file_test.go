package api

import (
	"errors"
	"strings"
	"testing"

	"tallyman/fetch"
)

// An answer that names its file by what is no https address is not said to name
// none: the error says what it gave, without what may be secret.
func TestAFileThatCantBeAskedForIsSaidToBeWhereItIs(t *testing.T) {
	a := &Answer{Call: "GetJob"}
	for address, want := range map[string]string{
		"ftp://files.example/a.csv":                        `"ftp://files.example/a.csv"`,
		"ftp://user:CANARY@files.example/a.csv":            `"ftp://files.example/a.csv"`,
		"gopher://files.example/1/a?Signature=CANARY":      `"gopher://files.example/1/a"`,
		"https://b.aliyuncs.com/%zz?Signature=CANARY":      `"https://b.aliyuncs.com/%zz"`,
		"https://[b.aliyuncs.com/a?Signature=CANARY":       `"https://…"`,
		"https:///a?Signature=CANARY":                      `"https:///a"`,
		"oss://bucket/a.csv":                               `"oss://bucket/a.csv"`,
		"file:///etc/passwd":                               `"file:///etc/passwd"`,
		"a.csv":                                            `"a.csv"`,
		"javascript:alert(1)\x1b[2J\n":                     `"javascript:alert(1) [2J`,
		"//b.aliyuncs.com/a.csv?security-token=CANARY":     `"//b.aliyuncs.com/a.csv"`,
		"https:b.aliyuncs.com/a.csv?security-token=CANARY": `"https:b.aliyuncs.com/a.csv"`,
	} {
		if name, ok := FileName(address, "job"); ok {
			t.Errorf("%q is taken, as %q", address, name)
		}
		err := a.NoFile(address, "none")
		if !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%q: %v, want %s", address, err, want)
		}
	}
	if err := a.NoFile("", "it names no file"); !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), "it names no file") {
		t.Errorf("without an address: %v", err)
	}
}
