package main

import (
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// options are what the flags say. Each flag has a twin in the environment,
// TALLYMAN_ and its name in capitals, that counts where the flag is not given.
type options struct {
	archive   string
	json      bool
	quiet     bool
	verbose   bool
	file      string
	parallel  int
	partSize  size
	wait      span
	poll      span
	attempts  int
	endpoints endpoints
	hosts     []string
	network   string
	part      string
	listen    string
}

func (o *options) common(f *pflag.FlagSet) {
	f.StringVar(&o.archive, "archive", "./archive", "the archive's `DIR`")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing but what landed, doubts and errors")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say of each promise whether it held")
}

// transfer adds the flags of commands that fetch.
func (o *options) transfer(f *pflag.FlagSet) {
	o.partSize, o.wait, o.poll = 4<<20, span(24*time.Hour), span(2*time.Second)
	o.endpoints = endpoints{}
	f.StringVarP(&o.file, "file", "f", "", "read references from `FILE` too, one a line; - is standard input")
	f.IntVar(&o.parallel, "parallel", 8, "`N` exports at once, and requests in flight for each")
	f.Var(&o.partSize, "part-size", "bytes of one request, at least 64KiB")
	f.Var(&o.wait, "wait", "how long to wait for a job to become ready")
	f.Var(&o.poll, "poll", "how long to wait between the first two polls; later ones are further apart")
	f.IntVar(&o.attempts, "attempts", 0, "`N` attempts for each cause to fail; 0 is 3 for a checksum and 10 for the network")
	f.Var(o.endpoints, "endpoint", "call `PROVIDER=URL` instead of the vendor (repeatable)")
	f.StringSliceVar(&o.hosts, "allow-host", nil, "trust data URLs at `HOST[:PORT]`, by http and at private addresses too (repeatable, or with commas)")
	f.StringVar(&o.network, "network", "public", "which of the vendors' endpoints: `public|internal`")
}

// complete takes the environment for flags that were not given, and checks
// what flags can't check one by one. A variable that is empty is not there.
func (o *options) complete(cmd *cobra.Command) error {
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := "TALLYMAN_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value := os.Getenv(name); value != "" && !f.Changed && err == nil {
			if e := cmd.Flags().Set(f.Name, value); e != nil {
				err = usagef("%s: %w", name, e)
			}
		}
	})
	if err == nil && cmd.Flags().Lookup("endpoint") != nil {
		err = o.endpoints.fromEnvironment()
	}
	if err == nil && o.archive == "" {
		err = usagef("--archive: want a directory")
	}
	return err
}

func (o *options) check() error {
	switch {
	case o.parallel < 1:
		return usagef("--parallel %d: want 1 or more", o.parallel)
	case o.partSize < 64<<10:
		return usagef("--part-size %v: want at least 64KiB", &o.partSize)
	case o.poll <= 0:
		return usagef("--poll %v: want more than 0", &o.poll)
	case o.attempts < 0:
		return usagef("--attempts %d: want 0 or more", o.attempts)
	case o.network != "public" && o.network != "internal":
		return usagef("--network %s: want public or internal", o.network)
	}
	return o.checkHosts()
}

// checkHosts sees to it that what is meant to be allowed will be.
func (o *options) checkHosts() error {
	for _, host := range o.hosts {
		if u, err := url.Parse("//" + host); err != nil || u.Host != host || u.Hostname() == "" {
			return usagef("--allow-host %s: want HOST or HOST:PORT", host)
		}
	}
	return nil
}
