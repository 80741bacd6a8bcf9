// Package config has the settings of the command. Each setting is a flag, a
// variable of the environment and a key of the configuration file: --part-size,
// TALLYMAN_PART_SIZE and part-size. A flag takes precedence over the
// environment, and that over the file. Some settings are of the file alone, such as the
// schedule of a worker and whom it notifies: those in structures.
package config

import (
	"cmp"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/cmd/tallyman/internal/notify"
	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/worker"
)

// maxAPIRate is more calls a second than any service answers.
const maxAPIRate = 1_000_000

// minMemory is enough for an lz4, and for a zstd frame with the window of 8 MiB that
// every decoder is to support.
const minMemory = 16 << 20

// Options has the value of every flag, whichever command it belongs to. [New]
// makes one. The Add methods define flags for a command, and set defaults;
// [Options.Complete] takes the rest from the environment and the file.
type Options struct {
	// Of every command.
	Archive   string
	ArchiveID string // that it must have; "" is any
	JSON      bool
	Quiet     bool
	Verbose   bool
	File      string // the configuration file

	// Of commands that make an archive where there is none.
	Create bool

	// Of commands that take many references.
	References string // a file of them; "-" is standard input
	DryRun     bool
	Again      bool
	New        bool

	// Of commands that transfer files.
	Parallel   int
	PartSize   flagvalue.Value[int64]
	LimitRate  flagvalue.Value[int64] // bytes a second of all transfers together; 0 is no limit
	MinRate    flagvalue.Value[int64] // bytes a second that a store must reach; 0 is any
	MaxSize    flagvalue.Value[int64] // of one object as transferred, if no size was promised; 0 is the default
	MaxDecoded flagvalue.Value[int64] // of one object; 0 depends on the size that was promised
	MaxMemory  flagvalue.Value[int64] // of all decoders together
	MaxEntries int                    // of one container; 0 is the default
	Attempts   int                    // for each cause to fail; 0 is the default
	Keep       flagvalue.Value[string]
	AllowHosts []string

	// Of commands that wait for jobs.
	Wait      flagvalue.Value[time.Duration]
	TaskWait  flagvalue.Value[time.Duration] // --wait of worker (for tasks that have none) and of enqueue (for its tasks); 0 is the default of each
	WaitGiven bool                           // --wait was set, here or there
	Poll      flagvalue.Value[time.Duration]
	Drain     flagvalue.Value[time.Duration]

	// Of commands that use the queue in a Redis.
	Redis             flagvalue.Value[string]
	RedisPasswordFile string
	RedisCA           string
	RedisCert         string
	RedisKey          string

	// Of commands that call the services.
	Endpoints    flagvalue.Value[map[string]string] // by the name of the provider
	Network      flagvalue.Value[string]
	APIRate      float64                           // calls a second of each service and account; 0 is no limit
	DBSBucket    flagvalue.Value[flagvalue.Bucket] // that DBS tasks wrote to: the service does not tell its name
	DISSignature flagvalue.Value[string]

	// Of commands that ask sources for their own counts.
	WitnessRate float64 // calls a second

	// Of commands that read the archive by its catalog.
	CacheDir string // "": that of the user

	// Of single commands.
	Cause        string                           // retry, cancel, accept, forget
	Yes          bool                             // cancel, forget
	All          bool                             // retry
	Since, Until flagvalue.Value[time.Time]       // discover, status, coverage, witness, ensure, find
	Zone         flagvalue.Value[*time.Location]  // coverage
	SVG          string                           // coverage
	Match        string                           // discover
	States       flagvalue.Value[[]fetch.State]   // discover; none is any
	Missing      bool                             // discover
	Shard        flagvalue.Value[archive.Shard]   // verify
	ExitCode     bool                             // status
	Delete       bool                             // forget
	LogStore     string                           // accept, coverage, witness, ensure
	Query        string                           // accept, coverage, witness, ensure
	From, To     flagvalue.Value[time.Time]       // accept
	Window       flagvalue.Value[time.Duration]   // ensure
	Settle       flagvalue.Value[time.Duration]   // ensure
	Align        string                           // ensure
	Format       string                           // ensure
	Compression  string                           // ensure
	JobsAtOnce   int                              // ensure
	MaxRecords   int                              // ensure
	DeleteJobs   bool                             // ensure
	Adopt        bool                             // verify
	Repair       bool                             // verify, fetch
	Reason       string                           // verify, accept, forget
	Bundle       string                           // explain
	InPlaces     []string                         // find
	Phases       flagvalue.Value[[]catalog.Phase] // find
	Causes       []string                         // find
	Text         string                           // find
	Doubts       bool                             // find
	Records      flagvalue.Value[flagvalue.Range] // find
	Link         bool                             // export
	Listen       string                           // sandbox, worker, serve, health
	Trial        string                           // doctor, of its second process
	Image        string                           // deploy

	// Of commands that log.
	LogFormat flagvalue.Value[string] // "": by JSON
	LogLevel  flagvalue.Value[string] // "": by Quiet and Verbose

	// Of commands that serve the page, metrics and health.
	MetricsListen string   // where the metrics are served alone; "": nowhere
	PageHosts     []string // names of this host that browsers may use
	PageTokenFile string   // with the token that is asked for
	PageReadOnly  bool     // nobody can do anything by the page
	PageCert      string   // with which --listen is served by TLS; "": without
	PageKey       string   // of the certificate; "": in the same file
	PageClientCA  string   // the authorities of those who may see the page; "": no certificate is asked for
	Pprof         bool     // profiles are served too

	// Of the configuration file alone.
	Places   []Place
	Schedule []worker.ScheduleEntry
	Expect   []Expectation
	Ensure   []Ensure
	Notify   []notify.Target
	Recheck  worker.Recheck
	Hold     []string // what forget must not delete, as worker.Match has it
	Read     string   // the name of that file, or "" if there is none
	Warnings []string // of what it says and what can't be meant

	providers []string
	read      []Setting       // of the file, in its order
	flagged   map[string]bool // settings that were given as flags
}

// New returns Options for providers with these names, which --endpoint and the
// places of the configuration file refer to.
func New(providers []string) *Options {
	return &Options{Endpoints: flagvalue.NewEndpoints(providers), providers: providers}
}

// AddCommon adds the flags of every command.
func (o *Options) AddCommon(f *pflag.FlagSet) {
	f.StringVar(&o.Archive, "archive", "./archive", "the `DIR` of the archive")
	f.StringVar(&o.ArchiveID, "archive-id", "", "refuse any archive but the one with this `ID`, and no archive;\ninit prints it")
	f.BoolVar(&o.JSON, "json", false, "print one JSON object a line")
	f.BoolVarP(&o.Quiet, "quiet", "q", false, "print only what landed, doubts and errors")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "print each promise and whether it was kept")
	f.StringVar(&o.File, "config", "", "read settings from `FILE` (default: tallyman/config.yaml\nin $XDG_CONFIG_HOME or ~/.config, if it exists)")
}

// AddReferences adds the flags of commands that take many references.
func (o *Options) AddReferences(f *pflag.FlagSet) {
	f.StringVarP(&o.References, "file", "f", "", "read references from `FILE` too, one a line;\n- is standard input")
	f.BoolVar(&o.Again, "again", false, "fetch what has landed once more, into a new bag KEY@TIME;\nthe old bag stays")
}

// AddCreate adds the flag of commands that make an archive where there is none.
func (o *Options) AddCreate(f *pflag.FlagSet) {
	f.BoolVar(&o.Create, "create", false, "make the archive even of an empty directory, with --archive-id,\nor where the directory above is missing too")
	cli.GroupFlags(f, "Where it lands", "create")
}

// AddTransfer adds the flags of commands that fetch.
func (o *Options) AddTransfer(f *pflag.FlagSet) {
	size := func(text string) flagvalue.Value[int64] { return flagvalue.New("SIZE", text, flagvalue.ParseSize) }
	o.PartSize, o.LimitRate, o.MinRate, o.MaxSize, o.MaxDecoded = size("4MiB"), size("0"), size("1KiB"), size("0"), size("0")
	o.MaxMemory = size("512MiB")
	o.Keep = flagvalue.New("content|wire|both", "content", flagvalue.OneOf(string(fetch.KeepContent), string(fetch.KeepWire), string(fetch.KeepBoth)))
	f.Var(&o.Keep, "keep", "keep the decoded content of a file,\nits bytes as they were transferred, or both")
	f.IntVar(&o.Parallel, "parallel", 8, "fetch `N` exports at once, N requests in flight for each")
	f.Var(&o.PartSize, "part-size", "bytes that one request asks for, at least 64KiB")
	f.Var(&o.LimitRate, "limit-rate", "bytes a second of all transfers together, at least 1KiB;\n0 is no limit")
	f.Var(&o.MinRate, "min-rate", "bytes a second that a store must send; 0 is any")
	f.Var(&o.MaxSize, "max-size", "bytes of one object without a promised size; 0 is 1TiB")
	f.Var(&o.MaxDecoded, "max-decoded", "bytes that one object may decode to;\n0 is 1100 times the promised size, from 64MiB to 1TiB")
	f.Var(&o.MaxMemory, "max-memory", "bytes that all decoders may hold at once, at least 16MiB:\nwhat does not fit waits")
	f.IntVar(&o.MaxEntries, "max-entries", 0, "allow one zip or tar `N` entries; 0 is a million")
	f.IntVar(&o.Attempts, "attempts", 0, "`N` attempts for each cause that is tried again;\n0 is 3 for a checksum, 10 for the network, or all of\na --wait that is given. More than 3 are for the network alone")
	f.StringSliceVar(&o.AllowHosts, "allow-host", nil, "trust data URLs at `HOST[:PORT]`, over http\nand at private addresses too (repeatable, or with commas)")
	cli.GroupFlags(f, "How to transfer it", "keep", "parallel", "part-size", "limit-rate", "min-rate", "max-size", "max-decoded", "max-memory", "max-entries", "attempts", "allow-host")
}

// AddAllowHost adds the flag that allows references over http to commands that
// fetch nothing themselves.
func (o *Options) AddAllowHost(f *pflag.FlagSet) {
	f.StringSliceVar(&o.AllowHosts, "allow-host", nil, "accept http references to `HOST[:PORT]` too\n(repeatable, or with commas)")
}

// AddWait adds the flags of commands that wait for jobs.
func (o *Options) AddWait(f *pflag.FlagSet) {
	o.Wait = flagvalue.New("DURATION", "24h", flagvalue.ParseDuration)
	f.Var(&o.Wait, "wait", "how long to wait for a job and, if given, for the network")
	o.AddPoll(f)
	cli.GroupFlags(f, "How to wait for it", "wait", "poll")
}

// AddPoll adds the flag of the time between two polls of a job.
func (o *Options) AddPoll(f *pflag.FlagSet) {
	o.Poll = flagvalue.New("DURATION", "2s", flagvalue.ParseDuration)
	f.Var(&o.Poll, "poll", "how long to wait between the first two polls of a job;\nlater polls are further apart")
}

// AddQueue adds the flags of commands that use the queue in a Redis.
func (o *Options) AddQueue(f *pflag.FlagSet) {
	o.Redis = flagvalue.New("URL", "", flagvalue.ParseRedisURL)
	f.Var(&o.Redis, "redis", "the Redis of the queue: redis://[USER@]HOST[:PORT][/DB],\nrediss://… or unix://PATH (or set REDIS_URL)")
	f.StringVar(&o.RedisPasswordFile, "redis-password-file", "", "`FILE` with the password of that Redis\n(or set REDIS_PASSWORD)")
	f.StringVar(&o.RedisCA, "redis-ca", "", "`FILE` with the certificates to trust for rediss://,\ninstead of those of the system")
	f.StringVar(&o.RedisCert, "redis-cert", "", "`FILE` with the certificate to show to a Redis that wants one")
	f.StringVar(&o.RedisKey, "redis-key", "", "`FILE` with the key of that certificate;\nit may be in the same file")
	cli.GroupFlags(f, "Which queue", "redis", "redis-password-file", "redis-ca", "redis-cert", "redis-key")
}

// AddSince adds the flag that leaves out what is older.
func (o *Options) AddSince(f *pflag.FlagSet, what string) {
	o.Since = flagvalue.New("TIME", "", flagvalue.ParseTime)
	f.Var(&o.Since, "since", "only "+what+" since `TIME`: a duration ago,\nyesterday, a weekday, a date, or a time (RFC 3339)")
}

// AddCatalog adds the flag of commands that read the archive by its catalog.
func (o *Options) AddCatalog(f *pflag.FlagSet) {
	f.StringVar(&o.CacheDir, "cache-dir", "", "keep the catalog of the archive in `DIR`\n(default: tallyman in the user's directory of caches)")
	cli.GroupFlags(f, "Where the catalog is", "cache-dir")
}

// AddCalls adds the flags of commands that call the services.
func (o *Options) AddCalls(f *pflag.FlagSet) {
	o.Network = flagvalue.New("public|internal|auto", "public", flagvalue.OneOf("public", "internal", "auto"))
	o.DBSBucket = flagvalue.New("BUCKET[@REGION]", "", flagvalue.ParseBucket)
	o.DISSignature = flagvalue.New("derived|plain", "derived", flagvalue.OneOf("derived", "plain"))
	f.Var(&o.Endpoints, "endpoint", "call `PROVIDER=URL` instead of the vendor (repeatable)")
	f.Var(&o.Network, "network", "which endpoints of the vendors to call;\nauto is internal where that answers")
	f.Float64Var(&o.APIRate, "api-rate", 5, "`N` calls a second to each service as each account;\n0 is no limit")
	f.Var(&o.DBSBucket, "dbs-bucket", "the bucket of one's own that DBS tasks write to;\nits region is that of the task unless given")
	f.Var(&o.DISSignature, "dis-signature", "how to sign calls of DIS")
	cli.GroupFlags(f, "Whom to ask", "endpoint", "network", "api-rate", "dbs-bucket", "dis-signature")
}

// DefaultWitnessRate is how many counts a second a source is asked for.
const DefaultWitnessRate = 2

// AddWitness adds the flag of commands that ask sources for their own counts.
func (o *Options) AddWitness(f *pflag.FlagSet) {
	f.Float64Var(&o.WitnessRate, "witness-rate", DefaultWitnessRate, "`N` counts a second that each source is asked for;\neach costs money")
	cli.GroupFlags(f, "Whom to ask", "witness-rate")
}

// CheckWitness returns a UsageError if the rate of counts is out of range.
func (o *Options) CheckWitness() error {
	if !(o.WitnessRate > 0 && o.WitnessRate <= maxAPIRate) { // NaN is refused too
		return cli.Usagef("--witness-rate %v: must be a number above 0", o.WitnessRate)
	}
	return nil
}

// Check returns a UsageError if settings of transfers and waiting are out of
// range. It includes CheckCalls and CheckProxies.
func (o *Options) Check() error {
	switch {
	case o.Parallel < 1:
		return cli.Usagef("--parallel %d: must be 1 or more", o.Parallel)
	case o.PartSize.Value < 64<<10:
		return cli.Usagef("--part-size %v: must be at least 64KiB", &o.PartSize)
	case o.LimitRate.Value != 0 && o.LimitRate.Value < 1<<10:
		return cli.Usagef("--limit-rate %v: must be at least 1KiB, or 0 for no limit", &o.LimitRate)
	case o.Poll.Value <= 0:
		return cli.Usagef("--poll %v: must be more than 0", &o.Poll)
	case o.MaxMemory.Value < minMemory:
		return cli.Usagef("--max-memory %v: must be at least 16MiB", &o.MaxMemory)
	case o.MaxEntries < 0:
		return cli.Usagef("--max-entries %d: must be 0 or more", o.MaxEntries)
	case o.Attempts < 0:
		return cli.Usagef("--attempts %d: must be 0 or more", o.Attempts)
	}
	return cmp.Or(o.CheckCalls(), o.CheckProxies())
}

// CheckProxies returns a UsageError if a proxy of the environment can't be read.
func (o *Options) CheckProxies() error {
	if _, err := hostguard.Proxies(); err != nil {
		return &cli.UsageError{Err: err}
	}
	return nil
}

// CheckCalls returns a UsageError if the rate of calls is out of range, or if one
// of the hosts to allow has another form, and so would allow nothing.
func (o *Options) CheckCalls() error {
	if !(o.APIRate >= 0 && o.APIRate <= maxAPIRate) { // NaN is refused too
		return cli.Usagef("--api-rate %v: must be a number from 0 to %d", o.APIRate, maxAPIRate)
	}
	for _, host := range o.AllowHosts {
		_, notIP := netip.ParseAddr(host)
		manyColons := strings.Count(host, ":") > 1 && host[0] != '[' // an address of IPv6, or a mistake
		if u, err := url.Parse("//" + host); err != nil || u.Host != host || u.Hostname() == "" || manyColons && notIP != nil {
			return cli.Usagef("--allow-host %s: must be HOST or HOST:PORT", host)
		}
	}
	return nil
}

// RedisPassword returns the password for the Redis, from the file or the
// environment, or "" if there is none. It makes the password known as a secret.
func (o *Options) RedisPassword() (string, error) {
	if o.RedisPasswordFile == "" {
		return os.Getenv("REDIS_PASSWORD"), nil
	}
	b, err := os.ReadFile(o.RedisPasswordFile)
	if err != nil {
		return "", cli.Usagef("--redis-password-file: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", cli.Usagef("--redis-password-file: %s is empty", o.RedisPasswordFile)
	}
	redact.Add(password)
	return password, nil
}
