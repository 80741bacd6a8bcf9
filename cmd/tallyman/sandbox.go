package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/fetch/sandbox"
)

func newSandbox(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "sandbox",
		Short:   "Run a cloud to try things on, until interrupted",
		Example: `  tallyman sandbox --listen 127.0.0.1:8080`,
		Args:    usage(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.sandbox(cmd) },
	}
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:0", "serve at `ADDR`, which must be this machine's own")
	return cmd
}

const sandboxProject = "sandbox"

func (o *options) sandbox(cmd *cobra.Command) error {
	host, _, err := net.SplitHostPort(o.listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return usagef("--listen %s: want 127.0.0.1:PORT: the sandbox is for this machine only", o.listen)
	}
	listener, err := new(net.ListenConfig).Listen(cmd.Context(), "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	cloud := sandbox.New(sandbox.Options{AccessKeyID: demoKey, AccessKeySecret: demoSecret})
	out, address := cmd.OutOrStdout(), listener.Addr()
	fmt.Fprint(out, sandboxEnvironment(address.String()))
	for _, s := range shows() {
		reference := s.stage(cloud, fmt.Sprintf("http://%s", address), sandboxProject)
		fmt.Fprintf(out, "tallyman fetch '%s'  # %s\n", reference, s.title)
	}
	return cloud.Serve(cmd.Context(), listener)
}

// sandboxEnvironment is what a shell exports to turn to a sandbox at that
// address.
func sandboxEnvironment(address string) string {
	text := fmt.Sprintf("export ALIBABA_CLOUD_ACCESS_KEY_ID=%[1]s ALIBABA_CLOUD_ACCESS_KEY_SECRET=%[2]s\n"+
		"export HUAWEICLOUD_SDK_AK=%[1]s HUAWEICLOUD_SDK_SK=%[2]s\nexport", demoKey, demoSecret)
	for _, name := range providerNames {
		text += fmt.Sprintf(" TALLYMAN_ENDPOINT_%s=http://%s", strings.ToUpper(name), address)
	}
	return text + fmt.Sprintf("\nexport TALLYMAN_ALLOW_HOST=%s TALLYMAN_DBS_BUCKET=%s\n\n", address, demoSink)
}
