package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/doctor"
	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// trialFlag is what the second process of a trial is called with.
const trialFlag = "trial"

func newDoctorCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor [PLACE...]",
		Short: "Look for what would keep exports from landing, and say what to do",
		Long: `Doctor looks at the settings, at the credentials and where they come from, at the
clock, at the way to the services, at Redis, at the file system of the archive and
at the limits of the process. Each line is ok, warn or fail, with what to do.

It asks for one job of each PLACE, and of each place of the schedule in the
configuration file. Without any, it asks one service of each vendor whose
credentials it finds, without using them. It changes nothing that stays.`,
		Example: `  tallyman doctor sls://cn-hangzhou/ali-test-project/
  tallyman doctor --redis redis://queue.internal:6379/0 --archive /mnt/archive --json`,
		Args: usageArgs(cobra.ArbitraryArgs),
		RunE: func(cmd *cobra.Command, args []string) error { return a.doctor(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&a.Trial, trialFlag, "", "report whether the locks of a trial in `DIR` are held")
	_ = f.MarkHidden(trialFlag)
	a.AddQueue(f)
	a.AddTransfer(f)
	a.AddPoll(f)
	a.AddCalls(f)
	return cmd
}

// doctorCommand is a run of the command.
type doctorCommand struct {
	*app
	*doctor.Report
	places []fetch.Ref
	watch  *doctor.Watch
}

func (a *app) doctor(cmd *cobra.Command, args []string) error {
	if a.Trial != "" {
		held, err := archive.IsTrialHeld(a.Trial)
		fmt.Fprintln(cmd.OutOrStdout(), held)
		return err
	}
	stdout := cmd.OutOrStdout()
	d := &doctorCommand{app: a, Report: &doctor.Report{Tell: func(f doctor.Finding) { a.printFinding(stdout, f) }}, watch: &doctor.Watch{}}
	a.watch = d.watch.Wrap
	for _, arg := range args {
		place, err := fetch.ParsePlace(arg)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		d.places = append(d.places, place)
	}
	for _, entry := range a.Schedule {
		if !slices.ContainsFunc(d.places, func(p fetch.Ref) bool { return p.String() == entry.Place.String() }) {
			d.places = append(d.places, entry.Place)
		}
	}
	d.settings()
	d.credentials(cmd.Context())
	d.network(cmd.Context())
	d.redis(cmd.Context())
	d.archive(cmd.Context())
	d.notify()
	d.recheck()
	if limit, ok := doctor.OpenFilesLimit(); ok {
		d.OpenFiles(limit, a.Parallel)
	}
	d.Memory("/sys/fs/cgroup/memory.max", a.MaxMemory.Value)
	if ctx := cmd.Context(); ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !a.JSON && !a.Quiet {
		fmt.Fprintf(stdout, "%d ok, %d to see to, %d failed\n", d.Counts[doctor.OK], d.Counts[doctor.Warn], d.Counts[doctor.Fail])
	}
	if d.Counts[doctor.Fail] > 0 {
		return cli.ExitError(worker.ExitUnknown)
	}
	return nil
}

// printFinding prints a line, and what to do below it.
func (a *app) printFinding(w io.Writer, f doctor.Finding) {
	switch {
	case a.JSON:
		_ = cli.PrintJSON(w, f) // a write that fails is told at the end
	case a.Quiet && f.State == doctor.OK:
	default:
		fmt.Fprintf(w, "%-4s  %-32s  %s\n", f.State, f.Check, f.Message)
		if f.Advice != "" {
			fmt.Fprintf(w, "%40s%s\n", "", f.Advice)
		}
	}
}

// settings tells of the configuration file, and of what is wrong with the settings.
func (d *doctorCommand) settings() {
	wrong := cmp.Or(d.wrong, d.Check())
	if wrong != nil {
		d.Fail("settings", "mend that line or variable; tallyman help has every setting", "%s", redact.Text(wrong.Error()))
	}
	for _, warning := range d.Warnings {
		d.Warn("settings", "mend that line", "%s", redact.Text(warning))
	}
	switch {
	case d.Read != "" && wrong == nil:
		d.OK("settings", "read %s", d.Read)
	case d.Read == "" && wrong == nil:
		d.OK("settings", "there is no configuration file")
	}
}

// credentialsTimeout is for keys that a service of the vendor gives out.
const credentialsTimeout = 10 * time.Second

// credentials looks for the keys of each account: those of the default of each vendor,
// and of the profiles that places name.
func (d *doctorCommand) credentials(ctx context.Context) {
	d.Environment()
	for _, v := range vendors {
		needed := map[string]bool{"": false} // by profile
		for _, place := range d.places {
			if slices.Contains(v.schemes, place.Scheme()) {
				needed[d.Place(place).Profile] = true
			}
		}
		for _, place := range d.Places {
			if scheme, _, _ := strings.Cut(place.Match, "://"); slices.Contains(v.schemes, scheme) && place.Profile != "" {
				needed[place.Profile] = true
			}
		}
		for _, profile := range slices.Sorted(maps.Keys(needed)) {
			d.account(ctx, v, profile, needed[profile])
		}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return
	}
	for _, path := range []string{".aliyun/config.json", ".alibabacloud/credentials", ".huaweicloud/credentials"} {
		d.Private(filepath.Join(home, path))
	}
	for _, name := range []string{"ALIBABA_CLOUD_CREDENTIALS_FILE", "HUAWEICLOUD_SDK_CREDENTIALS_FILE"} {
		d.Private(os.Getenv(name))
	}
}

// account looks for the keys of a profile, or of the vendor's default.
func (d *doctorCommand) account(ctx context.Context, v vendor, profile string, needed bool) {
	limited, cancel := context.WithTimeout(ctx, credentialsTimeout)
	defer cancel()
	id, source, err := v.find(limited, profile)
	name := v.name
	if profile != "" {
		name += "." + profile
	}
	d.Keys(name, id, source, needed, err)
	if err == nil && profile == "" && len(d.places) == 0 {
		d.probe(ctx, v)
	}
}

// probeAdvice is what to do where no service answers.
const probeAdvice = "see that the network, the proxy and --network let tallyman reach it"

// probe asks a service of a vendor, or those that --endpoint names instead.
func (d *doctorCommand) probe(ctx context.Context, v vendor) {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	asked := false
	for _, scheme := range v.schemes {
		if url := d.Endpoints.Value[scheme]; url != "" {
			d.Reach(ctx, d.apiClient(&hostguard.Policy{}, scheme), url, probeAdvice)
			asked = true
		}
	}
	if !asked {
		d.Reach(ctx, d.apiClient(&hostguard.Policy{Domains: []string{v.domain}}, ""), v.probe, probeAdvice)
	}
}

// placeTimeout is for one call of a place.
const placeTimeout = 20 * time.Second

// network looks at proxies and authorities, asks for one job of each place, and then
// knows how the clock is.
func (d *doctorCommand) network(ctx context.Context) {
	d.Proxies(ctx)
	d.Authorities()
	providers := d.newProviders()
	for _, place := range d.places {
		err := firstOf(ctx, providers[place.Scheme()].(fetch.Lister), place) // every provider that has places is one
		if err != nil {
			d.Fail("place", hint(place.String(), err), "%s: %s", place, redact.Text(err.Error()))
			continue
		}
		d.OK("place", "%s can be listed", place)
	}
	d.Clock(d.watch)
}

// firstOf asks for one job of a place.
func firstOf(ctx context.Context, lister fetch.Lister, place fetch.Ref) error {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	for _, err := range lister.List(ctx, place, time.Now().Add(-24*time.Hour)) {
		return err
	}
	return nil
}

// redisPatience is for each command that Redis is asked.
const redisPatience = 5 * time.Second

// redis looks at the Redis of the queue, if one is named.
func (d *doctorCommand) redis(ctx context.Context) {
	if d.Redis.Value == "" {
		d.OK("redis", "none is named, so there is no queue for several workers")
		return
	}
	shown := redact.Text(d.Redis.Value)
	queue, stop, err := d.dialQueue(worker.RedisOptions{Patience: redisPatience})
	if err != nil {
		d.Fail("redis", hint("", err), "%s", redact.Text(err.Error()))
		return
	}
	defer stop()
	latency, err := queue.Ping(ctx)
	if err == nil {
		var facts []worker.RedisFacts
		facts, err = queue.Facts(ctx)
		for _, f := range facts {
			d.RedisFacts(f, latency)
		}
	}
	if err != nil {
		d.Fail("redis", hint("", err), "%s: %s", shown, redact.Text(err.Error()))
		return
	}
	d.OK("redis", "%s answers", shown)
	if store, err := d.openExisting(); err == nil && store != nil {
		if err := queue.CheckArchive(ctx, store.ID()); err != nil {
			d.Fail("redis.archive", hint("", err), "%s", redact.Text(err.Error()))
		} else {
			d.OK("redis.archive", "it serves this archive, or none yet")
		}
	}
}

// archive tries the file system of the archive.
func (d *doctorCommand) archive(ctx context.Context) {
	store, err := archive.Open(d.Archive, d.ArchiveID, archive.SiteArchive)
	none, isNone := errors.AsType[*archive.NoArchiveError](err)
	switch {
	case isNone && none.Site == archive.SiteAbsent && d.ArchiveID == "":
		d.Warn("archive", "the first fetch makes it; tallyman init makes it now", "%v", none)
		return
	case errors.Is(err, fs.ErrNotExist):
		d.Fail("archive", "see that --archive names the right directory and that its disk is mounted; tallyman init makes an archive", "%v", err)
		return
	case err != nil:
		d.Fail("archive", hint("", err), "%v", err)
		return
	}
	d.OK("archive", "%s has the ID %s", d.Archive, store.ID())
	d.Trials(store.Try(func(dir string) (bool, error) { return heldElsewhere(ctx, dir) }))
	if space, ok := store.Space(); ok {
		d.Space(space)
	}
}

// notify looks whether the targets of notifications have what they need.
func (d *doctorCommand) notify() {
	for _, t := range d.Notify {
		check := "notify." + t.Name
		if err := t.Check(); err != nil {
			d.Fail(check, "mend that, and try it by: tallyman notify test "+t.Name, "%s", redact.Text(err.Error()))
			continue
		}
		for _, file := range t.Files() {
			d.Private(file)
		}
		d.OK(check, "%s has what it needs; tallyman notify test %s sends it a message", t.By, t.Name)
	}
}

// alertedProof is how old a proof may be by the rules for alerts.
const alertedProof = 35 * 24 * time.Hour

// recheck tells within which time workers recheck the archive.
func (d *doctorCommand) recheck() {
	switch every := d.Recheck.Every; {
	case every == 0:
		d.OK("recheck", "no worker rechecks what has landed by itself: tallyman verify does")
	case every > alertedProof:
		d.Warn("recheck", "see the rules that tallyman metrics rules prints, or make it less", "all is rechecked within %v days, and alerts tell of proofs older than %v", every.Hours()/24, alertedProof.Hours()/24)
	default:
		d.OK("recheck", "workers recheck all that has landed within %v days", every.Hours()/24)
	}
}

// heldElsewhere asks a second process of this program whether the locks of a trial are
// held.
func heldElsewhere(ctx context.Context, dir string) (bool, error) {
	program, err := os.Executable()
	if err != nil {
		return false, err
	}
	second := exec.CommandContext(ctx, program)
	second.Args = []string{"tallyman", "doctor", "--" + trialFlag, dir}
	out, err := second.Output()
	if err != nil {
		return false, fmt.Errorf("ask a second process: %w", err)
	}
	return strings.TrimSpace(string(out)) == "true", nil
}
