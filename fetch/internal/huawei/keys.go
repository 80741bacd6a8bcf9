package huawei

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"tallyman/fetch"
)

// Keys prove who calls: by a token, or else by a signature. Printed with any
// verb, logged or marshalled, they show their ID only. Don't keep them in
// unexported fields, which package fmt prints by reflection.
type Keys struct {
	AccessKey     string
	SecretKey     string `json:"-"`
	SecurityToken string `json:"-"` // of temporary keys, or ""
	ProjectID     string // of DIS; "" lets the service find it by the keys
	Token         string `json:"-"` // of IAM, for DIS: sent as X-Auth-Token in place of a signature
	Source        string // where they were found, in words, or "" if that is not known
}

// String returns "access key" and the ID.
func (k Keys) String() string { return "access key " + cmp.Or(k.AccessKey, "(a token)") }

// Format prints String, whatever the verb.
func (k Keys) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue returns String.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Secrets returns what must never be shown of the keys.
func (k Keys) Secrets() []string { return []string{k.Token, k.SecurityToken, k.SecretKey} }

// ErrNoKeys says that there are no keys that can sign a call. It is a
// *fetch.CallError of kind ErrAuth.
var ErrNoKeys error = &fetch.CallError{Call: findKeys, Kind: fetch.ErrAuth, Message: "there are none: set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK"}

// EnvironmentKeys returns the keys in the variables of Huawei Cloud's own SDKs,
// such as HUAWEICLOUD_SDK_AK. If there is neither an access key with its secret
// key nor, for a service that takes one, a token, the error is a *fetch.CallError
// of kind ErrAuth.
func EnvironmentKeys(takesToken bool) (Keys, error) {
	keys, ok := readKeys(takesToken, func(name string) string {
		return strings.TrimSpace(os.Getenv("HUAWEICLOUD_SDK_" + strings.ToUpper(name)))
	})
	switch {
	case ok:
		keys.Source = "the environment (HUAWEICLOUD_SDK_AK)"
		if keys.AccessKey == "" {
			keys.Source = "the environment (HUAWEICLOUD_SDK_TOKEN)"
		}
		return keys, nil
	case takesToken:
		return Keys{}, refused("there are none: set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, or HUAWEICLOUD_SDK_TOKEN")
	}
	return Keys{}, ErrNoKeys
}

// ProfileKeys reads the keys in a section of Huawei Cloud's credentials file: ak
// and sk, and for temporary keys security_token; project_id; and token for a
// service that takes one. For "" it is EnvironmentKeys.
func ProfileKeys(profile string, takesToken bool) (Keys, error) {
	if profile == "" {
		return EnvironmentKeys(takesToken)
	}
	p, err := ReadProfile(profile)
	if err != nil {
		return Keys{}, err
	}
	keys, ok := readKeys(takesToken, p.Get)
	switch {
	case ok:
		keys.Source = "section " + profile + " of " + p.file
		return keys, nil
	case takesToken:
		return Keys{}, p.Lacks("ak and sk there, and no token")
	}
	return Keys{}, p.Lacks("ak and sk there")
}

// readKeys is ok if the keys can prove who calls.
func readKeys(takesToken bool, get func(name string) string) (keys Keys, ok bool) {
	keys = Keys{AccessKey: get("ak"), SecretKey: get("sk"), SecurityToken: get("security_token"), ProjectID: get("project_id")}
	if takesToken {
		keys.Token = get("token")
	}
	return keys, keys.Token != "" || keys.AccessKey != "" && keys.SecretKey != ""
}
