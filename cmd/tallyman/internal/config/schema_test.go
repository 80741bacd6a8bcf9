package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// A key that the schema has is one that the file may have, and the schema lacks none:
// what reads the file says so of each.
func TestTheSchemaHasTheKeysOfTheFile(t *testing.T) {
	t.Parallel()
	known := map[string]*pflag.Flag{}
	for _, add := range []func(*Options, *pflag.FlagSet){(*Options).AddCommon, (*Options).AddTransfer, (*Options).AddQueue, (*Options).AddCalls} {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		add(New(providers), flags)
		flags.VisitAll(func(f *pflag.Flag) { known[f.Name] = f })
	}
	read := func(text string) string {
		r := &fileReader{name: "c", options: New(providers), flags: pflag.NewFlagSet("", pflag.ContinueOnError), known: known}
		return fmt.Sprint(r.read([]byte(text)))
	}
	properties := Schema(known, providers)["properties"].(map[string]any)
	for name, property := range properties {
		if said := read(name + ": {}\n"); strings.Contains(said, "no such setting") {
			t.Errorf("%s: %s", name, said)
		}
		items, _ := property.(map[string]any)["items"].(map[string]any)
		of, _ := items["properties"].(map[string]any)
		if of == nil {
			continue
		}
		_, said, _ := strings.Cut(read(name+": [{no-such: 1}]\n"), "only ")
		if want := strings.Join(slices.Sorted(maps.Keys(of)), ", "); said != want {
			t.Errorf("%s: the file may have %s, and the schema has %s", name, said, want)
		}
	}
	for name := range known {
		if properties[name] == nil {
			t.Errorf("the schema has no %s", name)
		}
	}
	for name := range structures() {
		if properties[name] == nil {
			t.Errorf("the schema has no %s", name)
		}
	}
}

// Each value is told with what it comes from, the one that counts, and no secret is.
func TestSettingsTellWhereEachComesFrom(t *testing.T) {
	t.Setenv("TALLYMAN_MIN_RATE", "2KiB")
	t.Setenv("TALLYMAN_ENDPOINT_OSS", "http://o")
	t.Setenv("REDIS_URL", "redis://:canary-of-settings@h")
	t.Setenv("REDIS_PASSWORD", "canary-of-settings")
	withFlags := func() (*Options, *pflag.FlagSet) {
		o, flags := New(providers), pflag.NewFlagSet("", pflag.ContinueOnError)
		o.AddCommon(flags)
		o.AddTransfer(flags)
		o.AddQueue(flags)
		o.AddCalls(flags)
		return o, flags
	}
	o, flags := withFlags()
	known := map[string]*pflag.Flag{}
	_, others := withFlags()
	others.VisitAll(func(f *pflag.Flag) { known[f.Name] = f })
	if err := flags.Parse([]string{"--parallel", "3", "--endpoint", "sls=http://s"}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "")
	if err := o.Complete(flags, func() map[string]*pflag.Flag { return known }); err != nil {
		t.Fatal(err)
	}
	r := &fileReader{name: "c", options: o, flags: flags, known: known, given: maps.Clone(o.Endpoints.Value)}
	text := "parallel: 5\nmin-rate: 1MiB\nmax-size: 1GiB\nendpoint: {dms: 'http://d', sls: 'http://t'}\nallow-host: [a, b]\nplaces:\n  - match: sls://r/p/\n    profile: team\nhold: ['sls://r/']\n"
	if err := r.read([]byte(text)); err != nil {
		t.Fatal(err)
	}
	all, err := o.Settings(flags, known)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range all {
		got[s.Name] = strings.Join([]string{s.Value, string(s.From), s.Where}, " ")
	}
	for name, want := range map[string]string{
		"parallel": "3 flag --parallel", "min-rate": "2KiB environment TALLYMAN_MIN_RATE", "max-size": "1GiB file c:3", "part-size": "4MiB default ",
		"endpoint.sls": "http://s flag --endpoint", "endpoint.oss": "http://o environment TALLYMAN_ENDPOINT_OSS", "endpoint.dms": "http://d file c:4", "allow-host": "a,b file c:5",
		"places[0]": "{match: sls://r/p/, profile: team} file c:7", "hold[0]": "sls://r/ file c:9",
		"redis-password": passwordSet + " environment REDIS_PASSWORD",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if redis := got["redis"]; strings.Contains(redis, "canary") || !strings.Contains(redis, "environment REDIS_URL") {
		t.Errorf("redis: %q", redis)
	}
}
