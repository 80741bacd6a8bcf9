package obs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"tallyman/fetch"
)

// Keys sign a call. Printed with any verb, logged or marshalled they show the
// access key only. Keep them out of unexported fields, which package fmt
// prints by reflection.
type Keys struct {
	AK            string
	SK            string `json:"-"`
	SecurityToken string `json:"-"` // of temporary keys, or ""
}

// String names the keys by the access key.
func (k Keys) String() string { return "access key " + k.AK }

// Format prints String, whatever the verb.
func (k Keys) Format(s fmt.State, _ rune) { io.WriteString(s, k.String()) }

// LogValue is String.
func (k Keys) LogValue() slog.Value { return slog.StringValue(k.String()) }

// EnvironmentKeys are those of HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK and,
// for temporary ones, HUAWEICLOUD_SDK_SECURITY_TOKEN, as Huawei Cloud's own
// SDKs do. Where there are none the error is a *fetch.CallError, ErrAuth.
func EnvironmentKeys(context.Context) (Keys, error) {
	read := func(name string) string { return strings.TrimSpace(os.Getenv("HUAWEICLOUD_SDK_" + name)) }
	keys := Keys{AK: read("AK"), SK: read("SK"), SecurityToken: read("SECURITY_TOKEN")}
	if keys.AK == "" || keys.SK == "" {
		return Keys{}, noKeys
	}
	return keys, nil
}

// StaticKeys are keys for a Store that don't change.
func StaticKeys(keys Keys) func(context.Context) (Keys, error) {
	return func(context.Context) (Keys, error) { return keys, nil }
}

var noKeys error = &fetch.CallError{
	Call: "find Huawei Cloud credentials", Kind: fetch.ErrAuth,
	Message: "there are none: set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK",
}
