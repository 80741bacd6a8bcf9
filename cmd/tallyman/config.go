package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
)

func newConfigCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show the settings that count, or the schema of the configuration file",
		Args:  isCommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "show",
		Short: "Show each setting, and where its value comes from",
		Long: `Show prints each setting that a flag, the environment or the configuration file has
given, its value, and where that comes from: the flag, the variable, or the file and
its line. With -v or --json it prints the defaults too. Secrets are not shown.`,
		Example: `  tallyman config show
  tallyman config show --config /etc/tallyman.yaml --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.showConfig(cmd) },
	}, &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the configuration file",
		Long: `Schema prints the JSON schema of the configuration file, by which an editor completes
and checks it:

  # yaml-language-server: $schema=tallyman.schema.json`,
		Example: `  tallyman config schema > tallyman.schema.json`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetEscapeHTML(false)
			e.SetIndent("", "  ")
			return e.Encode(config.Schema(a.known(), providerNames))
		},
	})
	return cmd
}

// settingLine is what --json prints of a setting.
type settingLine struct {
	Schema string        `json:"schema"`
	Name   string        `json:"name"`
	Value  string        `json:"value"`
	From   config.Origin `json:"from"`
	Where  string        `json:"where,omitempty"`
}

func (a *app) showConfig(cmd *cobra.Command) error {
	settings, err := a.Settings(cmd.Flags(), a.known())
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, s := range settings {
		switch {
		case a.JSON:
			if err := cli.PrintJSON(cmd.OutOrStdout(), settingLine{"tallyman.setting/v1", s.Name, s.Value, s.From, s.Where}); err != nil {
				return err
			}
		case s.From != config.FromDefault:
			fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, s.Value, s.Where)
		case a.Verbose:
			fmt.Fprintf(w, "%s\t%s\tdefault\n", s.Name, s.Value)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if a.Read == "" && !a.Quiet && !a.JSON {
		fmt.Fprintln(cmd.ErrOrStderr(), "there is no configuration file")
	}
	return nil
}
