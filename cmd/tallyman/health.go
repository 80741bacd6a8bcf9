package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/worker"
)

func newHealthCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Tell whether the worker on this host is well",
		Long: `Health asks the worker that listens on this host whether it can work: it was not
told to stop, its archive can be written to and locked, the disk has room, and its
Redis answers or has been away for less than a minute. It exits with 0 if so and
with 5 if not. It is made for the health checks of containers and of supervisors.`,
		Example: `  tallyman worker --listen 127.0.0.1:8410 &
  tallyman health`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.health(cmd) },
	}
	a.AddListen(cmd.Flags(), "ask the worker that listens at `ADDR`, instead of\n"+defaultListen)
	return cmd
}

// healthTimeout is how long a worker may take to answer.
const healthTimeout = 10 * time.Second

// maxHealth is how many bytes of an answer are read.
const maxHealth = 1 << 20

func (a *app) health(cmd *cobra.Command) error {
	address := a.Listen
	if address == "" {
		address = defaultListen
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return cli.Usagef("--listen %s: must be HOST:PORT, such as %s", address, defaultListen)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() { // it listens everywhere
		address = net.JoinHostPort("localhost", port)
	}
	answer, err := askReady(cmd.Context(), address)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	var line healthLine
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxHealth)).Decode(&line); err != nil || line.Schema != "tallyman.health/v1" {
		return fmt.Errorf("%w: what listens at %s is no worker: it answers %s", errUnwell, address, answer.Status)
	}
	if a.JSON {
		err = cli.PrintJSON(cmd.OutOrStdout(), line)
	}
	for _, c := range line.Checks {
		if !a.JSON && (!a.Quiet || !c.OK) {
			fmt.Fprintln(cmd.OutOrStdout(), c.tell())
		}
	}
	if err == nil && (!line.Ready || answer.StatusCode != http.StatusOK) {
		return cli.ExitError(worker.ExitTemporary)
	}
	return err
}

// askReady asks whether the worker at an address is ready, by TLS if that is what it speaks.
// Nothing is told to who answers, so its certificate need not be of this address.
func askReady(ctx context.Context, address string) (answer *http.Response, err error) {
	client := &http.Client{Timeout: healthTimeout, Transport: &http.Transport{ // no proxy
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	for _, scheme := range []string{"http", "https"} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+"/readyz", nil)
		if err != nil {
			return nil, cli.Usagef("--listen %s: %w", address, err)
		}
		if answer, err = client.Do(request); err != nil {
			return nil, fmt.Errorf("%w: %w", errUnwell, err)
		}
		if scheme == "https" || answer.StatusCode != http.StatusBadRequest { // as Go answers who does not speak TLS
			break
		}
		answer.Body.Close()
	}
	return answer, nil
}
