package config

import (
	"fmt"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"tallyman/worker"
)

func TestRecheck(t *testing.T) {
	for _, tt := range []struct {
		text string
		want worker.Recheck
		err  string
	}{
		{"{every: 30d}", worker.Recheck{Every: 30 * 24 * time.Hour}, ""},
		{"{every: 1h, rate: 10MiB}", worker.Recheck{Every: time.Hour, Rate: 10 << 20}, ""},
		{"{rate: 10MiB}", worker.Recheck{}, "c:1:11: must have every, like {every: 30d}"},
		{"{every: 1m}", worker.Recheck{}, "c:1:18: every: must be at least 1h0m0s"},
		{"{every: 30d, rate: 1}", worker.Recheck{}, "c:1:29: rate: must be at least 64KiB, in bytes a second"},
		{"30d", worker.Recheck{}, "c:1:10: must be KEY: VALUE"},
		{"{evry: 30d}", worker.Recheck{}, "c:1:11: evry: there is no such setting of a recheck, only every, rate: did you mean every?"},
	} {
		o := New(providers)
		r := &fileReader{name: "c", options: o, flags: pflag.NewFlagSet("", pflag.ContinueOnError), known: map[string]*pflag.Flag{}}
		err := r.read([]byte("recheck: " + tt.text))
		if got := fmt.Sprint(err); o.Recheck != tt.want || tt.err != "" && got != tt.err || tt.err == "" && err != nil {
			t.Errorf("%s: %+v, %s", tt.text, o.Recheck, got)
		}
		if tt.err == "" && (len(o.read) == 0 || o.read[0].Name != "recheck.every" || o.read[0].Where != "c:1") {
			t.Errorf("%s: shown as %+v", tt.text, o.read)
		}
	}
}
