// Package huawei holds what the providers of Huawei Cloud share: the profiles
// of its credentials file.
package huawei

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/ini.v1"

	"tallyman/fetch"
)

// A Profile is a section of Huawei Cloud's credentials file. It holds secrets:
// don't print it.
type Profile struct {
	name    string
	file    string
	section *ini.Section
}

// ReadProfile reads the section of that name in the file that
// HUAWEICLOUD_SDK_CREDENTIALS_FILE names, or else in ~/.huaweicloud/credentials.
// Any error is a *fetch.CallError of kind ErrAuth, and quotes nothing of the file.
func ReadProfile(name string) (*Profile, error) {
	p := &Profile{name: name, file: os.Getenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE")}
	if p.file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			home = "~" // which is then not there
		}
		p.file = filepath.Join(home, ".huaweicloud", "credentials")
	}
	text, err := os.ReadFile(p.file)
	if err != nil {
		return nil, refused(fmt.Sprintf("profile %s: %v", name, err))
	}
	file, err := ini.LoadSources(options, text)
	if err != nil {
		return nil, refused(fmt.Sprintf("profile %s: %s is not in the form of INI", name, p.file))
	}
	if p.section, err = file.GetSection(name); err != nil {
		return nil, p.Lacks("section of that name")
	}
	return p, nil
}

// options keep each value as it is written, and let no section inherit: "a.b"
// would inherit from "a".
var options = ini.LoadOptions{IgnoreContinuation: true, IgnoreInlineComment: true, ChildSectionDelimiter: "\n"}

// Get returns the value of a key, or "".
func (p *Profile) Get(key string) string {
	if !p.section.HasKey(key) {
		return ""
	}
	return strings.TrimSpace(p.section.Key(key).Value())
}

// Lacks returns the error of a profile that does not hold what it must.
func (p *Profile) Lacks(what string) error {
	return refused(fmt.Sprintf("profile %s: %s has no %s", p.name, p.file, what))
}

// findKeys is the call in the errors of keys that are not there.
const findKeys = "find Huawei Cloud credentials"

func refused(message string) error {
	return &fetch.CallError{Call: findKeys, Kind: fetch.ErrAuth, Message: message}
}
