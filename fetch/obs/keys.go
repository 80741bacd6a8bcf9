package obs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/internal/huawei"
	"tallyman/fetch/redact"
)

// Keys sign a call. Printed with any verb, logged or marshalled, they show the
// access key only. Don't keep them in unexported fields, which package fmt prints
// by reflection.
type Keys struct {
	AK            string
	SK            string `json:"-"`
	SecurityToken string `json:"-"` // of temporary keys, or ""
}

// String returns "access key" and the access key.
func (k Keys) String() string { return "access key " + k.AK }

// Format prints String, whatever the verb.
func (k Keys) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue returns String.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// EnvironmentKeys returns the keys in HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK
// and, for temporary keys, HUAWEICLOUD_SDK_SECURITY_TOKEN: the variables of
// Huawei Cloud's own SDKs. If there are none, the error is a *fetch.CallError of
// kind ErrAuth.
func EnvironmentKeys(context.Context) (Keys, error) {
	read := func(name string) string { return strings.TrimSpace(os.Getenv("HUAWEICLOUD_SDK_" + name)) }
	keys := Keys{AK: read("AK"), SK: read("SK"), SecurityToken: read("SECURITY_TOKEN")}
	if keys.AK == "" || keys.SK == "" {
		return Keys{}, noKeys
	}
	return keys, nil
}

// ProfileKeys returns what reads the keys in a section of Huawei Cloud's
// credentials file, anew for each call: ak, sk and, for temporary keys,
// security_token. For "" it is EnvironmentKeys.
func ProfileKeys(profile string) func(context.Context) (Keys, error) {
	if profile == "" {
		return EnvironmentKeys
	}
	return func(context.Context) (Keys, error) {
		p, err := huawei.ReadProfile(profile)
		if err != nil {
			return Keys{}, err
		}
		keys := Keys{AK: p.Get("ak"), SK: p.Get("sk"), SecurityToken: p.Get("security_token")}
		if keys.AK == "" || keys.SK == "" {
			return Keys{}, p.Lacks("ak and sk there")
		}
		return keys, nil
	}
}

// StaticKeys returns keys for a Store that don't change.
func StaticKeys(keys Keys) func(context.Context) (Keys, error) {
	return func(context.Context) (Keys, error) { return keys, nil }
}

var noKeys error = &fetch.CallError{
	Call: "find Huawei Cloud credentials", Kind: fetch.ErrAuth,
	Message: "there are none: set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK",
}

func (s *Store) keys(ctx context.Context) (Keys, error) {
	find := s.Keys
	if find == nil {
		find = EnvironmentKeys
	}
	keys, err := find(ctx)
	redact.Add(keys.SecurityToken, keys.SK)
	if err == nil && (keys.AK == "" || keys.SK == "") {
		err = noKeys // the SDK would send the call without a signature
	}
	return keys, err
}
