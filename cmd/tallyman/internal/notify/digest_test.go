package notify

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive/catalog"
)

// However much a message tells, and whatever the names in it, a phone shows each of its lines
// whole, and its title too.
func TestEachLineFitsAPhone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"short", strings.Repeat("a-long-name-", 20), strings.Repeat("导出任务", 30), "a\nb\tc" + strings.Repeat("é", 50)} {
		for _, n := range []int{1, 30, 5000} {
			d := &digest{archive: "/srv/" + name, inAll: map[Topic]int64{}, cleared: n == 1}
			for _, topic := range Topics {
				d.inAll[topic] = math.MaxInt32
				for i := range n / len(Topics) {
					d.events = append(d.events, Event{topic, fmt.Sprintf("sls://cn-hangzhou/%s/%d", name, i), fmt.Sprintf("cause-%d-%s", i%12, name)})
				}
			}
			told, _ := d.message()
			daily := d.daily(time.Now(), catalog.Sum{Exports: 10_000_000, Bytes: 1 << 50}, math.MaxInt32)
			for _, m := range []Message{told, daily} {
				for _, line := range append([]string{m.Title}, m.Lines...) {
					if n := columnsOf(line); n > columns || strings.ContainsAny(line, "\n\t") {
						t.Errorf("%d columns: %q", n, line)
					}
				}
			}
		}
	}
}

// What no retry helps is told with what does, whatever else has failed.
func TestAMessageSaysWhereNoRetryHelps(t *testing.T) {
	t.Parallel()
	d := &digest{archive: "night", hints: map[string]string{"job-expired": "no retry helps: make the jobs anew"}, events: []Event{
		{Failed, "sls://r/p/a", "job-expired"}, {Failed, "sls://r/p/b", "job-expired"}, {Failed, "sls://r/p/c", "network"},
	}}
	m, _ := d.message()
	want := []string{"Failed: 3", " job-expired: 2", "  (no retry helps: make the jobs anew)", "  sls://r/p/a", "  sls://r/p/b", " network: 1", "  sls://r/p/c", "archive night"}
	if diff := cmp.Diff(want, m.Lines); diff != "" {
		t.Error(diff)
	}
}
