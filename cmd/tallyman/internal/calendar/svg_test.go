package calendar

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive/coverage"
)

var update = flag.Bool("update", false, "write the images of testdata anew")

// A calendar has each day of a time once, tells by text what its colours tell, and can't be
// broken out of by the name of a log store. The image of testdata shows it.
func TestWriteSVG(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin") // where one day has 25 hours
	if err != nil {
		t.Fatal(err)
	}
	at := func(month time.Month, day, hour int) int64 {
		return time.Date(2026, month, day, hour, 0, 0, 0, zone).Unix()
	}
	g := &coverage.Group{Within: coverage.Span{From: at(10, 20, 0), To: at(11, 3, 0)}, Covered: []coverage.Span{{From: at(10, 20, 0), To: at(10, 25, 1)}, {From: at(10, 26, 0), To: at(11, 1, 0)}}}
	g.Settled = []coverage.Span{{From: at(11, 1, 0), To: at(11, 2, 0)}}
	g.Gaps = coverage.Gaps(append(g.Settled, g.Covered...), g.Within)
	var b bytes.Buffer
	err = WriteSVG(&b, []Chart{
		{Place: "sls://cn-hangzhou/ali-test-project/", Group: `access </text><script>alert("1")</script> & more`, Summary: "84.6% of 14d", Covers: g},
		{Place: "sls://cn-hangzhou/other/", Group: "none *", Summary: "nothing that was due has landed", Covers: &coverage.Group{}},
	}, zone)
	if err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"2026-10-20: covered", "2026-10-25: partly, 24h0m0s lacking", "2026-10-31: covered", "2026-11-01: settled", "2026-11-02: lacking, 24h0m0s lacking"} {
		if n := strings.Count(b.String(), "<title>"+title+"</title>"); n != 1 {
			t.Errorf("%s: %d times", title, n)
		}
	}
	if n := strings.Count(b.String(), "<rect"); n != 14 {
		t.Errorf("%d days, want 14", n)
	}
	for d := xml.NewDecoder(bytes.NewReader(b.Bytes())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
			t.Error("it has a script")
		}
	}
	const golden = "testdata/calendar.svg"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil { //nolint:gosec // it is no secret
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
