package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/deploy"
	"tallyman/fetch/redact"
)

func newDeployCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploy",
		Short: "Print a unit, manifests or a compose file that run workers",
		Long: `Deploy prints what runs this program as a service. Its comments say what to do first,
and no secret is in it.`,
		Example: `  tallyman deploy systemd --archive /srv/archive > /etc/systemd/system/tallyman.service
  tallyman deploy kubernetes --image registry.internal/tallyman:1.2 | kubectl -n tallyman apply -f -`,
		Args: isCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	systemd := &cobra.Command{
		Use:   "systemd",
		Short: "Print a unit of systemd, with a watchdog and hardened",
		Long: `Systemd prints the unit of a worker with the archive of --archive and the Redis of
--redis, without its password: --redis-password-file belongs into the unit's comment on
LoadCredential.`,
		Example: `  tallyman deploy systemd --archive /srv/archive > /etc/systemd/system/tallyman.service`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.deploySettings()
			if err != nil {
				return err
			}
			if err = deploy.Systemd(cmd.OutOrStdout(), s); errors.Is(err, deploy.ErrPath) {
				return &cli.UsageError{Err: err}
			}
			return err
		},
	}
	a.AddQueue(systemd.Flags())
	kubernetes := &cobra.Command{
		Use:   "kubernetes",
		Short: "Print manifests of workers, their Redis and their autoscaler",
		Long: `Kubernetes prints a deployment of workers that share an archive on a claim which many
nodes mount, a Redis, the page for who has its token, services of page and metrics,
policies for the network, and a scaler of KEDA that counts the exports that are ready to
be fetched. The scaler never goes below one worker.`,
		Example: `  tallyman deploy kubernetes --image registry.internal/tallyman:1.2 | kubectl -n tallyman apply -f -`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return deploy.Kubernetes(cmd.OutOrStdout(), deploy.Settings{Image: a.Image})
		},
	}
	kubernetes.Flags().StringVar(&a.Image, "image", "tallyman", "the `IMAGE` of the program, best with its digest")
	compose := &cobra.Command{
		Use:     "compose",
		Short:   "Print a file of docker compose, for one host",
		Example: `  tallyman deploy compose > docker-compose.yml`,
		Args:    usageArgs(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return deploy.Compose(cmd.OutOrStdout()) },
	}
	cmd.AddCommand(systemd, kubernetes, compose)
	return cmd
}

// deploySettings are those of this call, for a service on this machine.
func (a *app) deploySettings() (s deploy.Settings, err error) {
	if s.Program, err = os.Executable(); err != nil {
		return s, err
	}
	if s.Program, err = filepath.EvalSymlinks(s.Program); err != nil {
		return s, err
	}
	s.Redis = redact.Text(a.Redis.Value)
	s.Archive, err = filepath.Abs(a.Archive)
	return s, err
}
