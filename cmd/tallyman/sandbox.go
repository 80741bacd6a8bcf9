package main

import (
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch/sandbox"
)

func newSandboxCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sandbox",
		Short:   "Run a cloud to try things out on, until interrupted",
		Example: `  tallyman sandbox --listen 127.0.0.1:8080`,
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, _, err := net.SplitHostPort(a.Listen)
			if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
				return cli.Usagef("--listen %s: must be a loopback address such as 127.0.0.1:8080: the sandbox is for this machine only", a.Listen)
			}
			listener, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", a.Listen)
			if err != nil {
				return fmt.Errorf("start the sandbox: %w", err)
			}
			cloud := sandbox.New(sandbox.Options{AccessKeyID: demoKey, AccessKeySecret: demoSecret})
			address := listener.Addr().String()
			var out strings.Builder
			fmt.Fprintf(&out, "export ALIBABA_CLOUD_ACCESS_KEY_ID=%[1]s ALIBABA_CLOUD_ACCESS_KEY_SECRET=%[2]s\n"+
				"export HUAWEICLOUD_SDK_AK=%[1]s HUAWEICLOUD_SDK_SK=%[2]s\nexport", demoKey, demoSecret)
			for _, name := range providerNames {
				fmt.Fprintf(&out, " TALLYMAN_ENDPOINT_%s=http://%s", strings.ToUpper(name), address)
			}
			fmt.Fprintf(&out, "\nexport TALLYMAN_ALLOW_HOST=%s TALLYMAN_DBS_BUCKET=%s\n\n", address, demoBucket)
			for _, s := range scenarios() {
				reference := s.stage(cloud, "http://"+address, "sandbox")
				fmt.Fprintf(&out, "tallyman fetch '%s'  # %s\n", reference, s.title)
			}
			if _, err := io.WriteString(cmd.OutOrStdout(), out.String()); err != nil {
				return err // nobody knows where it would serve
			}
			return cloud.Serve(cmd.Context(), listener)
		},
	}
	cmd.Flags().StringVar(&a.Listen, "listen", "127.0.0.1:0", "serve at `ADDR`, which must be a loopback address")
	return cmd
}
