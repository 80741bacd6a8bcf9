package main

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
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
	f.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing but errors")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say more")
}

// transfer adds the flags of commands that fetch.
func (o *options) transfer(f *pflag.FlagSet) {
	o.partSize, o.wait, o.poll = 4<<20, span(24*time.Hour), span(2*time.Second)
	o.endpoints = endpoints{}
	f.IntVar(&o.parallel, "parallel", 8, "`N` requests in flight per file")
	f.Var(&o.partSize, "part-size", "bytes of one request, at least 64KiB")
	f.Var(&o.wait, "wait", "how long to wait for a job to become ready")
	f.Var(&o.poll, "poll", "how long to wait between the first two polls; later ones are further apart")
	f.IntVar(&o.attempts, "attempts", 0, "`N` attempts in all; 0 is 3 for a checksum and 10 for the network")
	f.Var(o.endpoints, "endpoint", "call `PROVIDER=URL` instead of the vendor (repeatable)")
	f.StringArrayVar(&o.hosts, "allow-host", nil, "trust data URLs at `HOST[:PORT]`, by http and at private addresses too (repeatable)")
	f.StringVar(&o.network, "network", "public", "which of the vendors' endpoints: `public|internal`")
}

// complete takes the environment for flags that were not given, and checks
// what flags can't check one by one.
func (o *options) complete(cmd *cobra.Command) error {
	var err error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := "TALLYMAN_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := os.LookupEnv(name); ok && !f.Changed && err == nil {
			if e := cmd.Flags().Set(f.Name, value); e != nil {
				err = usagef("%s=%s: %w", name, value, e)
			}
		}
	})
	if err == nil && o.endpoints != nil {
		err = o.endpoints.fromEnvironment()
	}
	return err
}

func (o *options) check() error {
	switch {
	case o.parallel < 1:
		return usagef("--parallel %d: want 1 or more", o.parallel)
	case o.partSize < 64<<10:
		return usagef("--part-size %d: want at least 64KiB", o.partSize)
	case o.poll <= 0:
		return usagef("--poll %v: want more than 0", o.poll)
	case o.attempts < 0:
		return usagef("--attempts %d: want 0 or more", o.attempts)
	case o.network != "public" && o.network != "internal":
		return usagef("--network %s: want public or internal", o.network)
	}
	return nil
}

// providerNames are those that --endpoint knows.
var providerNames = []string{"sls", "dms", "dbs", "dis", "oss", "obs"}

// endpoints are the providers that are called elsewhere than at the vendor.
type endpoints map[string]string

func (e endpoints) Type() string   { return "PROVIDER=URL" }
func (e endpoints) String() string { return "" }

func (e endpoints) Set(s string) error {
	name, address, ok := strings.Cut(s, "=")
	if !ok || !slices.Contains(providerNames, name) {
		return fmt.Errorf("want PROVIDER=URL, with one of %s for PROVIDER", strings.Join(providerNames, ", "))
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("want %s=http://HOST:PORT or %s=https://HOST:PORT", name, name)
	}
	e[name] = u.Scheme + "://" + u.Host
	return nil
}

func (e endpoints) fromEnvironment() error {
	for _, name := range providerNames {
		variable := "TALLYMAN_ENDPOINT_" + strings.ToUpper(name)
		value, ok := os.LookupEnv(variable)
		if _, given := e[name]; ok && !given {
			if err := e.Set(name + "=" + value); err != nil {
				return usagef("%s: %w", variable, err)
			}
		}
	}
	return nil
}

// A size is a number of bytes.
type size int64

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

func (s *size) Type() string   { return "SIZE" }
func (s *size) String() string { return formatSize(int64(*s)) }

func (s *size) Set(text string) error {
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.bytes {
			break
		}
		*s = size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("want bytes, or a number with KB, MB, GB, KiB, MiB or GiB")
}

// formatSize shows a number of bytes in the unit that a person would take.
func formatSize(n int64) string {
	for _, u := range []string{"GiB", "MiB", "KiB"} {
		for _, unit := range units {
			if unit.suffix == u && n >= unit.bytes {
				s := strconv.FormatFloat(float64(n)/float64(unit.bytes), 'f', 1, 64)
				return strings.TrimSuffix(s, ".0") + u
			}
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// A span is a duration: Go's, or a number of days or weeks before that.
type span time.Duration

func (d *span) Type() string   { return "DURATION" }
func (d *span) String() string { return time.Duration(*d).String() }

func (d *span) Set(text string) error {
	var days time.Duration
	rest := text
	for _, unit := range []struct {
		suffix string
		length time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}} {
		number, after, ok := strings.Cut(rest, unit.suffix)
		if n, err := strconv.ParseUint(number, 10, 16); ok && err == nil {
			days += time.Duration(n) * unit.length
			rest = after
		}
	}
	if rest == "" && text != "" {
		*d = span(days)
		return nil
	}
	clock, err := time.ParseDuration(rest)
	if err != nil || clock < 0 {
		return fmt.Errorf("want a duration like 90s, 2h30m, 7d or 1w")
	}
	*d = span(days + clock)
	return nil
}
