package cli

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/worker"
)

// What the fetcher notes of each request is told once in a row, and not at all
// during an outage, of which the report tells when it begins, hourly, and when it
// is over.
func TestAnOutageIsToldInPlaceOfItsTries(t *testing.T) {
	t.Parallel()
	ref, err := fetch.ParseRef("https://h.example/a.csv")
	if err != nil {
		t.Fatal(err)
	}
	away := errors.New("connection refused")
	for _, quiet := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		r := NewReport(&stdout, &stderr, Output{Quiet: quiet, Hint: func(string, error) string { return "see that the proxy runs" }}, nil)
		note := func(text string) { r.Progress(fetch.Progress{Ref: ref, Note: text}) }
		note("trying again")
		note("trying again")
		r.Outage(worker.OutageEvent{What: "network", Err: away, Waiting: 1})
		note("trying again, at another port")
		r.Outage(worker.OutageEvent{What: "network", Err: away, Lasted: time.Hour, Waiting: 1})
		r.Outage(worker.OutageEvent{What: "network", Lasted: 2 * time.Hour})
		note("trying again")
		want := `https://h.example/a.csv: trying again
tallyman: network: connection refused: waiting for that to pass
hint: see that the proxy runs
tallyman: network: connection refused: still waiting for that to pass after 1h0m0s
tallyman: network: it is over after 2h0m0s
https://h.example/a.csv: trying again
`
		if quiet {
			want = ""
		}
		if stdout.Len() > 0 || stderr.String() != want {
			t.Errorf("quiet %v: told %s%s", quiet, &stdout, &stderr)
		}
	}
}
