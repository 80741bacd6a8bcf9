package config

import (
	"bytes"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/hostguard"

	_ "tallyman/fetch/dbs"
	_ "tallyman/fetch/oss"
	_ "tallyman/fetch/sls"
	_ "tallyman/fetch/web"
)

var providers = []string{"sls", "dms", "dbs", "dis", "oss", "obs"}

func TestTheLongestMatchNamesTheProfile(t *testing.T) {
	o := &Options{Places: []Place{
		{Match: "sls://cn-a/team/", Profile: "team"}, {Match: "sls://cn-a/", Profile: "all"}, {Match: "sls://cn-a/team/secret-", Profile: "secret"}, {Match: "oss://", Profile: "store"},
		{Match: "sls://cn-*/shared/", Profile: "shared"}, {Match: "dbs://*/rm-[0-9]*", Profile: "backups"}, {Match: "dbs://cn-a/", DBSBucket: flagvalue.Bucket{Name: "backups"}},
	}}
	for text, want := range map[string]string{
		"sls://cn-a/team/job": "team", "sls://cn-a/team/secret-job": "secret", "sls://cn-a/teams/job": "all",
		"sls://cn-b/team/job": "", "sls://cn-b/shared/job": "shared", "sls://cn-b/share/job": "", "dbs://cn-a/rm-7/t": "backups", "dbs://cn-a/rm-x/t": "",
		"oss://bucket/prefix": "store", "https://host/sls://cn-a/": "",
	} {
		ref, err := fetch.ParseRef(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.Place(ref).Profile; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if got := o.Place(ref).DBSBucket.Name; (got != "") != strings.HasPrefix(text, "dbs://cn-a/") {
			t.Errorf("%s: the bucket %q", text, got)
		}
	}
	place, err := fetch.ParsePlace("sls://cn-a/team")
	if err != nil || o.Place(place).Profile != "team" {
		t.Errorf("the place has %+v, %v", o.Place(place), err)
	}
}

// A hold is of a bag, however the reference that names it is written.
func TestHeldBy(t *testing.T) {
	o := New(providers)
	r := &fileReader{name: "config.yaml", options: o, flags: pflag.NewFlagSet("", pflag.ContinueOnError)}
	if err := r.read([]byte("hold: ['https://Data.example.com/', 'https://*.Example.org/Day/*.csv', 'oss://bucket/[a-c]']\n")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		"https://data.example.com/a": true, "https://DATA.example.com/a": true, "https://www.example.com/a": false,
		"https://a.example.org/Day/1.csv": true, "https://a.example.org/Day/1.csv#size=12": true, "https://a.example.org/Day/1.csv?v=1#size=12": true, "https://a.example.org/day/1.csv": false,
		"oss://bucket/a": true, "oss://bucket/a?region=cn-hangzhou": true, "oss://bucket/d?region=cn-hangzhou": false,
	} {
		ref, err := fetch.ParseRef(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := o.HeldBy(ref); (got != "") != want {
			t.Errorf("%s: held by %q", text, got)
		}
	}
}

// Whatever the configuration file is, it is taken or refused as usage, and what
// is in it is not shown but for the words of its keys and the names of hosts.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{"part-size: 4MiB\nwait: 3600\n", "endpoint: {sls: http://127.0.0.1:1}\n", "places:\n  - {match: \"sls://cn-hangzhou/\", profile: a}\n", "places: [{match: 'sls://cn-*/', endpoint: {oss: 'http://a'}}, {match: 'dbs://r/', dbs-bucket: my-backups, endpoint: 'https://b'}]", "allow-host: [a, 'b:1']\n",
		"schedule:\n  - place: sls://cn-hangzhou/p/\n    cron: \"0 6 * * *\"\n    since: 7d\n", "schedule: [{place: sls://r/p/, every: 1h, match: 'a*'}]", "a: &a {b: *a}\n", "? a\n: b\n", "--- \n---\na: 1\n",
		"redis: redis://:canary@h\n", "notify: [{by: mail, server: 'h:25', from: a@b, to: c@d}, {by: ping, url-file: /u, every: 1h}, {by: slack, url-env: U, on: [daily], at: '8:00'}]", "access-key-secret: canary\n", "%YAML 1.3\n---\n", "wait: !!int \"canary\"\n", "<<: {a: 1}\n", "\xff\xfe", "wait: |\n  1h\n", "- a\n", "json: yes\n", "a", ""} {
		f.Add([]byte(s))
	}
	known := map[string]*pflag.Flag{}
	for _, add := range []func(*Options, *pflag.FlagSet){(*Options).AddCommon, (*Options).AddReferences, (*Options).AddTransfer, (*Options).AddWait, (*Options).AddQueue, (*Options).AddCalls} {
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		add(New(providers), flags)
		flags.VisitAll(func(f *pflag.Flag) { known[f.Name] = f })
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 10_000 || anchors(text) {
			return
		}
		o := New(providers)
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		o.AddTransfer(flags)
		r := &fileReader{name: "config.yaml", options: o, flags: flags, known: known}
		err := r.read(text)
		if _, usage := errors.AsType[*cli.UsageError](err); err != nil && !usage {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "config.yaml:") {
			t.Errorf("%q: %v", text, err)
		}
		for _, entry := range o.Schedule {
			if !entry.Place.IsPlace() || (entry.Every == 0) == (entry.Cron == "") {
				t.Errorf("%q: %+v", text, entry)
			}
		}
		for _, p := range o.Places {
			if p.Profile == "" && p.Endpoints == nil && p.DBSBucket.Name == "" || !strings.Contains(p.Match, "://") {
				t.Errorf("%q: %+v", text, p)
			}
		}
	})
}

// anchors reports whether a file may refer to itself.
func anchors(text []byte) bool {
	return bytes.IndexByte(text, '*') >= 0 && bytes.IndexByte(text, '&') >= 0
}

// A host that --allow-host takes is allowed.
func FuzzAllowHost(f *testing.F) {
	for _, s := range []string{"127.0.0.1:80", "[::1]:80", "h/", "u@h", "h:1:2", "host.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o := Options{AllowHosts: []string{s}}
		if u := (&url.URL{Scheme: "https", Host: s, Path: "/a"}); strings.Count(s, ":") < 2 && o.CheckCalls() == nil && (&hostguard.Policy{Allow: o.AllowHosts}).Check(u) != nil {
			t.Errorf("--allow-host %q does not allow it", s)
		}
	})
}

// In each setting that names a file or a directory, ~ is the home, also in the file.
func TestTheHomeIsKnownInEachPath(t *testing.T) {
	t.Setenv("HOME", "/home/ops")
	for name := range New(providers).paths() {
		o := New(providers)
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		for _, add := range []func(*Options, *pflag.FlagSet){(*Options).AddCommon, (*Options).AddReferences, (*Options).AddQueue, (*Options).AddCatalog, (*Options).AddPage} {
			add(o, flags)
		}
		known := map[string]*pflag.Flag{}
		flags.VisitAll(func(f *pflag.Flag) { known[f.Name] = f })
		r := &fileReader{name: "config.yaml", options: o, flags: flags, known: known}
		if err := r.read([]byte(name + ": ~/x\n")); err != nil || *o.paths()[name] != "/home/ops/x" {
			t.Errorf("%s: %q, %v", name, *o.paths()[name], err)
		}
	}
}
