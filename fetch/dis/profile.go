package dis

import (
	"context"

	"tallyman/fetch/internal/huawei"
)

// ProfileKeys are those of a section of Huawei Cloud's credentials file: token,
// or ak, sk and, for temporary ones, security_token, for the project
// project_id. The file is read anew for each call. They are EnvironmentKeys for
// "".
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
