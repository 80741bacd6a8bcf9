package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
)

func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version, and what it was built from",
		Example: `  tallyman version --json`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			built := buildVersion(debug.ReadBuildInfo())
			if a.JSON {
				return cli.PrintJSON(cmd.OutOrStdout(), versionLine{"tallyman.version/v1", built})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "tallyman %s\n", built)
			return err
		},
	}
}

// versionLine is what --json prints.
type versionLine struct {
	Schema  string `json:"schema"`
	Version string `json:"version"` // as --version prints it
}

// version is set by the linker where the program is built without its repository, such as
// in a container: -X main.version=v1.2.3.
var version string

// buildVersion returns the version of the module, the revision that it was built
// from and whether that had been modified, and the version of the compiler.
func buildVersion(built *debug.BuildInfo, ok bool) string {
	if !ok {
		return "unknown"
	}
	settings := map[string]string{}
	for _, s := range built.Settings {
		settings[s.Key] = s.Value
	}
	parts := []string{cmp.Or(version, built.Main.Version, "(devel)")}
	if revision := settings["vcs.revision"]; revision != "" {
		parts = append(parts, "revision "+revision)
	}
	if settings["vcs.modified"] == "true" {
		parts = append(parts, "modified")
	}
	return strings.Join(append(parts, built.GoVersion), ", ")
}
