package main

import (
	"runtime/debug"
	"testing"
)

func TestTheVersionSaysWhatWasBuilt(t *testing.T) {
	for want, built := range map[string]debug.BuildInfo{
		"(devel), go1.26": {GoVersion: "go1.26"},
		"v1.2.3, revision abc, modified, go1.26": {GoVersion: "go1.26", Main: debug.Module{Version: "v1.2.3"},
			Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}},
	} {
		if got := versionOf(&built); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
