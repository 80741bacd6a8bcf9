package obs

import (
	"context"

	"tallyman/fetch/internal/huawei"
)

// ProfileKeys are those of a section of Huawei Cloud's credentials file: ak, sk
// and, for temporary ones, security_token. The file is read anew for each call.
// They are EnvironmentKeys for "".
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
