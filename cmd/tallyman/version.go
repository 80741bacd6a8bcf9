package main

import (
	"runtime/debug"
	"strings"
)

// version is what the build says of itself: the module's version, the revision
// it was built from and whether that had been changed, and the compiler.
func version() string {
	built, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return versionOf(built)
}

func versionOf(built *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range built.Settings {
		settings[s.Key] = s.Value
	}
	parts := []string{built.Main.Version}
	if parts[0] == "" {
		parts[0] = "(devel)"
	}
	if revision := settings["vcs.revision"]; revision != "" {
		parts = append(parts, "revision "+revision)
	}
	if settings["vcs.modified"] == "true" {
		parts = append(parts, "modified")
	}
	return strings.Join(append(parts, built.GoVersion), ", ")
}
