package main

import (
	"cmp"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/worker"
)

// options are what the flags say. Each flag has a twin in the environment,
// TALLYMAN_ and its name in capitals, that counts where the flag is not given,
// and one in the configuration file, that counts where neither is.
type options struct {
	archive string
	json    bool
	quiet   bool
	verbose bool
	config  string
	places  []place // of the configuration file

	schedule []worker.ScheduleEntry // of that too

	file   string
	dryRun bool

	parallel  int
	partSize  flagvalue.Size
	limitRate flagvalue.Size
	minRate   flagvalue.Size
	maxSize   flagvalue.Size // as transferred, at most; 0 is the default
	decoded   flagvalue.Size // at most; 0 is as the promise suggests
	entries   int            // of a container, at most; 0 is the default
	attempts  int
	keep      flagvalue.Choice
	again     bool
	hosts     []string

	wait     flagvalue.Duration
	patience flagvalue.Duration // a worker's wait, 0 being none, and what a task asks for
	poll     flagvalue.Duration
	drain    flagvalue.Duration

	redis         flagvalue.RedisURL
	redisPassword string // the file that holds it
	redisCA       string
	cause         string
	all           bool

	endpoints flagvalue.Endpoints
	network   flagvalue.Choice
	apiRate   float64
	bucket    flagvalue.Bucket // that DBS tasks wrote to: the service does not tell its name

	disSignature flagvalue.Choice

	since, until flagvalue.Time
	match        string

	shard  flagvalue.Shard
	listen string
}

func (o *options) common(f *pflag.FlagSet) {
	f.StringVar(&o.archive, "archive", "./archive", "the archive's `DIR`")
	f.BoolVar(&o.json, "json", false, "print one JSON object a line")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing but what landed, doubts and errors")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "say of each promise whether it held")
	f.StringVar(&o.config, "config", "", "read settings from `FILE` (default: config.yaml in $XDG_CONFIG_HOME/tallyman or ~/.config/tallyman, if it is there)")
}

// input adds the flags of commands that take many references.
func (o *options) input(f *pflag.FlagSet) {
	f.StringVarP(&o.file, "file", "f", "", "read references from `FILE` too, one a line; - is standard input")
	f.BoolVar(&o.dryRun, "dry-run", false, "ask each job once, say what would be fetched, and write nothing")
	f.BoolVar(&o.again, "again", false, "fetch what has landed once more, into a new bag KEY@TIME; the old one stays")
	group(f, "What to fetch", "file", "dry-run", "again")
}

// transfer adds the flags of commands that fetch.
func (o *options) transfer(f *pflag.FlagSet) {
	o.partSize, o.keep = 4<<20, flagvalue.NewChoice(string(fetch.KeepContent), string(fetch.KeepContent), string(fetch.KeepWire), string(fetch.KeepBoth))
	f.Var(&o.keep, "keep", "what to keep of a file: its decoded content, the wire's bytes as transferred, or both")
	f.IntVar(&o.parallel, "parallel", 8, "`N` exports at once, and requests in flight for each")
	f.Var(&o.partSize, "part-size", "bytes of one request, at least 64KiB")
	f.Var(&o.limitRate, "limit-rate", "bytes a second that all transfers may take together, at least 1KiB; 0 is no limit")
	f.Lookup("limit-rate").DefValue = "0" // which is not worth showing
	o.minRate = leastRate
	f.Var(&o.minRate, "min-rate", "bytes a second, over a minute, at which a store must send a file; 0 is any")
	f.Var(&o.maxSize, "max-size", "bytes that one object may have as transferred where its job promised no size; 0 is 1TiB")
	f.Lookup("max-size").DefValue = "0"
	f.Var(&o.decoded, "max-decoded", "bytes that one object may decode to; 0 is 1100 times what was promised, from 64MiB to 1TiB")
	f.Lookup("max-decoded").DefValue = "0"
	f.IntVar(&o.entries, "max-entries", 0, "`N` entries that one zip or tar may have; 0 is a million")
	f.IntVar(&o.attempts, "attempts", 0, "`N` attempts for each cause to fail; 0 is 3 for a checksum and 10 for the network")
	f.StringSliceVar(&o.hosts, "allow-host", nil, "trust data URLs at `HOST[:PORT]`, by http and at private addresses too (repeatable, or with commas)")
	group(f, "How to transfer it", "keep", "parallel", "part-size", "limit-rate", "min-rate", "max-size", "max-decoded", "max-entries", "attempts", "allow-host")
}

// waiting adds the flags of commands that wait for jobs.
func (o *options) waiting(f *pflag.FlagSet) {
	o.wait = flagvalue.Duration(24 * time.Hour)
	f.Var(&o.wait, "wait", "how long to wait for a job to become ready")
	o.polling(f)
	group(f, "How to wait for it", "wait", "poll")
}

func (o *options) polling(f *pflag.FlagSet) {
	o.poll = flagvalue.Duration(2 * time.Second)
	f.Var(&o.poll, "poll", "how long to wait between the first two polls; later ones are further apart")
}

// queueing adds the flags of commands that use the queue in a Redis.
func (o *options) queueing(f *pflag.FlagSet) {
	f.Var(&o.redis, "redis", "the queue's Redis: redis://[USER@]HOST[:PORT][/DB], rediss://… or unix://PATH (or in REDIS_URL)")
	f.StringVar(&o.redisPassword, "redis-password-file", "", "`FILE` with the password of that Redis (or the password in REDIS_PASSWORD)")
	f.StringVar(&o.redisCA, "redis-ca", "", "`FILE` of certificates to trust for rediss://, instead of the system's")
	group(f, "Which queue", "redis", "redis-password-file", "redis-ca")
}

// calls adds the flags of commands that call the services.
func (o *options) calls(f *pflag.FlagSet) {
	o.endpoints = flagvalue.NewEndpoints(providerNames)
	o.network = flagvalue.NewChoice("public", "public", "internal")
	o.disSignature = flagvalue.NewChoice("derived", "derived", "plain")
	f.Var(&o.endpoints, "endpoint", "call `PROVIDER=URL` instead of the vendor (repeatable)")
	f.Var(&o.network, "network", "which of the vendors' endpoints: `public|internal`")
	f.Float64Var(&o.apiRate, "api-rate", 5, "`N` calls a second of each service and account; 0 is no limit")
	f.Var(&o.bucket, "dbs-bucket", "the `BUCKET[@REGION]` of one's own that DBS tasks write to, by default in the region of the task")
	f.Var(&o.disSignature, "dis-signature", "how calls of DIS are signed: `derived|plain`")
	group(f, "Whom to ask", "endpoint", "network", "api-rate", "dbs-bucket", "dis-signature")
}

// complete takes the environment for flags that were not given, then the
// configuration file, and checks what flags can't check one by one. A variable
// that is empty is not there.
func (o *options) complete(cmd *cobra.Command) error {
	redisGiven := cmd.Flags().Changed("redis")
	if err := fromEnvironment(cmd.Flags()); err != nil {
		return err
	}
	if cmd.Flags().Lookup("endpoint") != nil {
		if err := o.endpointsFromEnvironment(); err != nil {
			return err
		}
	}
	if err := o.fromFile(cmd); err != nil {
		return err
	}
	if !redisGiven {
		if text := cmp.Or(os.Getenv("TALLYMAN_REDIS"), os.Getenv("REDIS_URL")); text != "" {
			o.redis = flagvalue.RedisURLWithPassword(text)
		}
	}
	if o.archive == "" {
		return usagef("--archive: want a directory")
	}
	return nil
}

func fromEnvironment(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := "TALLYMAN_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value := os.Getenv(name); value != "" && !f.Changed && f.Name != "redis" && err == nil {
			if e := flags.Set(f.Name, value); e != nil {
				err = usagef("%s: %w", name, e)
			}
		}
	})
	return err
}

func (o *options) check() error {
	switch {
	case o.parallel < 1:
		return usagef("--parallel %d: want 1 or more", o.parallel)
	case o.partSize < 64<<10:
		return usagef("--part-size %v: want at least 64KiB", &o.partSize)
	case o.limitRate != 0 && o.limitRate < leastRate:
		return usagef("--limit-rate %v: want at least %s, or 0 for no limit", &o.limitRate, flagvalue.FormatSize(leastRate))
	case o.poll <= 0:
		return usagef("--poll %v: want more than 0", &o.poll)
	case o.entries < 0:
		return usagef("--max-entries %d: want 0 or more", o.entries)
	case o.attempts < 0:
		return usagef("--attempts %d: want 0 or more", o.attempts)
	}
	if err := o.checkCalls(); err != nil {
		return err
	}
	return o.checkHosts()
}

// mostCalls is a second's, and more than any service answers.
const mostCalls = 1_000_000

func (o *options) checkCalls() error {
	if !(o.apiRate >= 0 && o.apiRate <= mostCalls) { // nor what is no number
		return usagef("--api-rate %v: must be a number from 0 to %d", o.apiRate, mostCalls)
	}
	return nil
}

// checkHosts sees to it that what is meant to be allowed will be.
func (o *options) checkHosts() error {
	for _, host := range o.hosts {
		_, notIP := netip.ParseAddr(host)
		colons := strings.Count(host, ":") > 1 && host[0] != '[' // which are those of IPv6, or a mistake
		if u, err := url.Parse("//" + host); err != nil || u.Host != host || u.Hostname() == "" || colons && notIP != nil {
			return usagef("--allow-host %s: want HOST or HOST:PORT", host)
		}
	}
	return nil
}

func (o *options) endpointsFromEnvironment() error {
	for _, name := range providerNames {
		variable := "TALLYMAN_ENDPOINT_" + strings.ToUpper(name)
		value := os.Getenv(variable)
		if value != "" && o.endpoints.URL(name) == "" {
			if err := o.endpoints.Set(name + "=" + value); err != nil {
				return usagef("%s: %w", variable, err)
			}
		}
	}
	return nil
}
