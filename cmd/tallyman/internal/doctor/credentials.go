package doctor

import (
	"io/fs"
	"os"
	"runtime"
)

// pairs are variables of which one is of no use without the other.
var pairs = [][2]string{
	{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET"},
	{"HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"},
}

// Environment looks for keys of which one half is set.
func (r *Report) Environment() {
	for _, pair := range pairs {
		for i, name := range pair {
			if other := pair[1-i]; os.Getenv(name) != "" && os.Getenv(other) == "" {
				r.Fail("credentials.environment", "set both or neither", "%s is set, and %s is not", name, other)
			}
		}
	}
}

// Keys tells where the keys of an account were found: its name is that of the vendor, or
// of the profile of a place. err says why there are none. Without a place that needs
// them that is no fault.
func (r *Report) Keys(account, id, source string, needed bool, err error) {
	check := "credentials." + account
	switch {
	case err == nil:
		r.OK(check, "%s, from %s", id, source)
	case needed:
		r.Fail(check, "make the profile, or set the variables, for the user that runs tallyman", "%v", err)
	default:
		r.OK(check, "none, and no place is named that needs them")
	}
}

// Private looks whether a file with secrets, if it is there, is open to others than its owner
// and those of its group who may read it.
func (r *Report) Private(path string) {
	info, err := os.Stat(path)
	if err != nil || runtime.GOOS == "windows" {
		return
	}
	if mode := info.Mode().Perm(); mode&0o077&^fs.FileMode(0o040) != 0 {
		r.Warn("credentials.file", "chmod 600 "+path, "%s can be read by others, or changed (mode %04o)", path, mode)
	}
}
