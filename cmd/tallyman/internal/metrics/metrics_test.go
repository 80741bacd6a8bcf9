package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	_ "tallyman/fetch/sls" // which reads references
	"tallyman/verify/archive"
	"tallyman/worker"
)

func scrape(m *Metrics) string {
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

// What a worker does is counted once, by what it was; what is not known is no metric.
func TestAWorkersDoingsAreCounted(t *testing.T) {
	t.Parallel()
	m := New("v1", func(context.Context) (Snapshot, error) {
		return Snapshot{Redis: new(false)}, errors.New("no catalog")
	})
	ref, err := fetch.ParseRef("sls://cn-hangzhou/p/j")
	if err != nil {
		t.Fatal(err)
	}
	m.Progress(fetch.Progress{Ref: ref, Bytes: 500, Kept: true})
	m.Progress(fetch.Progress{Ref: ref, Bytes: 100})
	m.Progress(fetch.Progress{Ref: ref, Note: "the URL has expired"})
	m.Ended(ref, &archive.Receipt{FirstSeen: time.Unix(0, 0), Landed: time.Unix(30, 0)}, nil)
	m.Ended(ref, &archive.Receipt{Doubts: []string{"a doubt"}}, nil)
	m.Ended(ref, nil, fetch.ErrBomb)
	m.Outage(worker.OutageEvent{What: "network", Err: fetch.ErrBomb})
	m.Outage(worker.OutageEvent{What: "disk-full", Err: fetch.ErrBomb})
	m.Outage(worker.OutageEvent{What: "disk-full"})
	said := scrape(m)
	for _, line := range []string{
		`tallyman_fetch_bytes_total{provider="sls"} 100`, `tallyman_fetches_total{provider="sls",result="landed"} 1`,
		`tallyman_fetches_total{provider="sls",result="doubts"} 1`, `tallyman_failures_total{cause="bomb-refused",provider="sls"} 1`,
		`tallyman_landing_seconds_sum{provider="sls"} 30`, `tallyman_outage{cause="network"} 1`, `tallyman_outage{cause="disk-full"} 0`,
		"tallyman_redis_up 0", "tallyman_catalog_up 0", `version="v1"`,
	} {
		if !strings.Contains(said, line) {
			t.Errorf("the metrics lack %s", line)
		}
	}
	for _, never := range []string{"tallyman_exports", "tallyman_disk", "tallyman_ledger_cut 0", "/p/j"} {
		if strings.Contains(said, never) {
			t.Errorf("the metrics have %s", never)
		}
	}
	var none *Metrics
	none.Progress(fetch.Progress{})
	none.Outage(worker.OutageEvent{})
	none.Ended(ref, nil, fetch.ErrBomb)
}

// However many places there are, the number of series has a bound, and the sums are right.
func TestPlacesHaveABound(t *testing.T) {
	t.Parallel()
	var s Snapshot
	for n := range maxPlaces + 3 {
		s.Places = append(s.Places, Place{Name: fmt.Sprintf("p%04d", n), Exports: map[string]int64{"landed": 2}, Missing: new(int64(1))})
	}
	said := scrape(New("v1", func(context.Context) (Snapshot, error) { return s, nil }))
	if n := strings.Count(said, "tallyman_exports{"); n != maxPlaces+1 {
		t.Errorf("%d series, want %d", n, maxPlaces+1)
	}
	if !strings.Contains(said, `tallyman_exports{place="(other)",state="landed"} 6`) || !strings.Contains(said, `tallyman_exports_missing{place="(other)"} 3`) {
		t.Error("the others are not added up")
	}
}
