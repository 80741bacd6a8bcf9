package obs

import (
	"context"

	"tallyman/fetch/internal/huawei"
)

// Keys prove who calls. Printed with any verb, logged or marshalled, they show
// their ID only. Don't keep them in unexported fields, which package fmt prints by
// reflection.
type Keys = huawei.Keys

// ProfileKeys returns what reads the keys in a section of Huawei Cloud's
// credentials file, anew for each call: ak, sk and, for temporary keys,
// security_token. For "" it reads the variables of Huawei Cloud's own SDKs instead:
// HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK and, for temporary keys,
// HUAWEICLOUD_SDK_SECURITY_TOKEN. If there are no keys, the error is a
// *fetch.CallError of kind ErrAuth.
func ProfileKeys(profile string) func(context.Context) (Keys, error) {
	return func(context.Context) (Keys, error) { return huawei.ProfileKeys(profile, false) }
}

// StaticKeys returns keys that don't change.
func StaticKeys(keys Keys) func(context.Context) (Keys, error) {
	return func(context.Context) (Keys, error) { return keys, nil }
}
