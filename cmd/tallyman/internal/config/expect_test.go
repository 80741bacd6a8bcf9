package config

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	_ "tallyman/fetch/sls" // for its scheme
	_ "tallyman/fetch/web"
)

func TestExpect(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Expectation
		err  string
	}{
		{"{place: sls://r/p/, every: 26h}", Expectation{Place: "sls://r/p/", Every: 26 * time.Hour, Grace: 2 * time.Hour}, ""},
		{"{place: sls://r/p/, every: 1d, grace: 0s, logstore: l, query: 'a: b'}", Expectation{"sls://r/p/", "l", "a: b", 24 * time.Hour, 0}, ""},
		{"{place: https://h/, every: 1d}", Expectation{Place: "https://h/", Every: 24 * time.Hour, Grace: 2 * time.Hour}, ""},
		{"{every: 1h}", Expectation{}, "c:2:6: must have a place and every, like {place: sls://REGION/PROJECT/, every: 26h}"},
		{"{place: sls://r/p/}", Expectation{}, "c:2:6: must have a place and every, like {place: sls://REGION/PROJECT/, every: 26h}"},
		{"{place: sls://r/p/, every: 1s}", Expectation{}, "c:2:32: every: must be at least 1m0s"},
		{"{place: sls://r/p/job, every: 1h}", Expectation{}, `c:2:13: place: place "sls://r/p/job": want sls://REGION/PROJECT/: it names one export of the place sls://r/p/`},
		{"{place: https://h/a.csv, every: 1h}", Expectation{}, `c:2:13: place: place "https://h/a.csv": a URL is one file: fetch it`},
		{"{place: sls://r/p/, every: 1h, query: x}", Expectation{}, "c:2:6: query goes with logstore"},
		{"{place: https://h/, every: 1h, logstore: x}", Expectation{}, "c:2:6: https://h/ has no log stores"},
		{"{place: sls://r/p/, evry: 1h}", Expectation{}, "c:2:25: evry: there is no such setting of a declaration, only every, grace, logstore, place, query: did you mean every?"},
	} {
		o := New(providers)
		r := &fileReader{name: "c", options: o, flags: pflag.NewFlagSet("", pflag.ContinueOnError), known: map[string]*pflag.Flag{}}
		err := r.read([]byte("expect:\n  - " + tt.text))
		if tt.err != "" {
			if got := fmt.Sprint(err); got != tt.err {
				t.Errorf("%s: %s, want %s", tt.text, got, tt.err)
			}
			continue
		}
		if diff := cmp.Diff([]Expectation{tt.want}, o.Expect); diff != "" || err != nil {
			t.Errorf("%s: %v %s", tt.text, err, diff)
		}
	}
}
