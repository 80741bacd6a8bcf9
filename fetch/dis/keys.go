package dis

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"tallyman/fetch"
)

// Keys prove who calls: by a token, or else by a signature. Printed with any
// verb, logged or marshalled they show their ID only. Keep them out of
// unexported fields, which package fmt prints by reflection.
type Keys struct {
	AccessKey     string
	SecretKey     string `json:"-"`
	SecurityToken string `json:"-"` // of temporary keys, or ""
	ProjectID     string // "" is the one that the service finds by the keys
	Token         string `json:"-"` // of IAM, sent as X-Auth-Token; it goes before the keys
}

// String names the keys by their ID.
func (k Keys) String() string { return "access key " + cmp.Or(k.AccessKey, "(a token)") }

// Format prints String, whatever the verb.
func (k Keys) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue is String.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Secrets are what must not be shown of the keys.
func (k Keys) Secrets() []string { return []string{k.Token, k.SecurityToken, k.SecretKey} }

// EnvironmentKeys are those of HUAWEICLOUD_SDK_TOKEN, or of HUAWEICLOUD_SDK_AK,
// HUAWEICLOUD_SDK_SK and, for temporary ones, HUAWEICLOUD_SDK_SECURITY_TOKEN,
// for the project HUAWEICLOUD_SDK_PROJECT_ID. Where there are none the error is
// a *fetch.CallError, ErrAuth.
func EnvironmentKeys(context.Context) (Keys, error) {
	get := func(name string) string { return strings.TrimSpace(os.Getenv("HUAWEICLOUD_SDK_" + name)) }
	keys := Keys{
		AccessKey: get("AK"), SecretKey: get("SK"), SecurityToken: get("SECURITY_TOKEN"),
		ProjectID: get("PROJECT_ID"), Token: get("TOKEN"),
	}
	if keys.Token == "" && (keys.AccessKey == "" || keys.SecretKey == "") {
		return Keys{}, &fetch.CallError{Call: "find Huawei Cloud credentials", Kind: fetch.ErrAuth,
			Message: "there are none: set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or HUAWEICLOUD_SDK_TOKEN"}
	}
	return keys, nil
}

// StaticKeys are keys for a Provider that don't change.
func StaticKeys(keys Keys) func(context.Context) (Keys, error) {
	return func(context.Context) (Keys, error) { return keys, nil }
}
