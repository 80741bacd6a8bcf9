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
	"tallyman/fetch/internal/huawei"
)

// Keys prove who calls: by a token, or else by a signature. Printed with any
// verb, logged or marshalled, they show their ID only. Don't keep them in
// unexported fields, which package fmt prints by reflection.
type Keys struct {
	AccessKey     string
	SecretKey     string `json:"-"`
	SecurityToken string `json:"-"` // of temporary keys, or ""
	ProjectID     string // "" lets the service find it by the keys
	Token         string `json:"-"` // of IAM, sent as X-Auth-Token in place of a signature
}

// String returns "access key" and the ID.
func (k Keys) String() string { return "access key " + cmp.Or(k.AccessKey, "(a token)") }

// Format prints String, whatever the verb.
func (k Keys) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue returns String.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Secrets returns what must never be shown of the keys.
func (k Keys) Secrets() []string { return []string{k.Token, k.SecurityToken, k.SecretKey} }

// EnvironmentKeys returns the keys in HUAWEICLOUD_SDK_TOKEN, or in
// HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK and, for temporary keys,
// HUAWEICLOUD_SDK_SECURITY_TOKEN, for the project HUAWEICLOUD_SDK_PROJECT_ID. If
// there are none, the error is a *fetch.CallError of kind ErrAuth.
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

// ProfileKeys returns what reads the keys in a section of Huawei Cloud's
// credentials file, anew for each call: token, or ak, sk and, for temporary keys,
// security_token, for the project project_id. For "" it is EnvironmentKeys.
func ProfileKeys(profile string) func(context.Context) (Keys, error) {
	if profile == "" {
		return EnvironmentKeys
	}
	return func(context.Context) (Keys, error) {
		p, err := huawei.ReadProfile(profile)
		if err != nil {
			return Keys{}, err
		}
		keys := Keys{
			AccessKey: p.Get("ak"), SecretKey: p.Get("sk"), SecurityToken: p.Get("security_token"),
			ProjectID: p.Get("project_id"), Token: p.Get("token"),
		}
		if keys.Token == "" && (keys.AccessKey == "" || keys.SecretKey == "") {
			return Keys{}, p.Lacks("ak and sk there, and no token")
		}
		return keys, nil
	}
}

// StaticKeys returns keys for a Provider that don't change.
func StaticKeys(keys Keys) func(context.Context) (Keys, error) {
	return func(context.Context) (Keys, error) { return keys, nil }
}
