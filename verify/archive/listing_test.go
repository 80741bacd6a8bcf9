package archive

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive/ledger"
)

// How a place was listed is written down if something is new, if the error is another
// than the last time, or once a day.
func TestAListingIsWrittenDownIfItTellsSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustOpen(t, t.TempDir())
		place := Listing{Place: "sls://cn-hangzhou/project/", Profile: "team-a"}
		for i, step := range []struct {
			after      time.Duration
			found, new int
			cause      string
			written    bool
		}{
			{0, 2, 0, "", true},
			{time.Hour, 2, 0, "", false},
			{time.Hour, 3, 1, "", true},
			{time.Hour, 3, 1, "", true},
			{time.Hour, 3, 0, "", false},
			{24 * time.Hour, 3, 0, "", true},
			{time.Hour, 0, 0, "auth-denied", true},
			{time.Hour, 0, 0, "auth-denied", false},
			{time.Hour, 0, 0, "not-found", true},
			{24 * time.Hour, 0, 0, "not-found", true},
			{time.Hour, 3, 0, "", true},
		} {
			time.Sleep(step.after)
			before := len(linesOf(t, a))
			l := place
			l.Found, l.New, l.Cause = step.found, step.new, step.cause
			if l.Cause != "" {
				l.Message, l.RequestID = "refused", "R-1"
			}
			if err := a.RecordListing(l); err != nil {
				t.Fatal(err)
			}
			if written := len(linesOf(t, a)) > before; written != step.written {
				t.Errorf("listing %d: written: %v", i+1, written)
			}
			if err := a.RecordListing(Listing{Place: "sls://cn-hangzhou/other/"}); err != nil { // says nothing of the first
				t.Fatal(err)
			}
		}
		last, err := a.ledger.Last(ledger.Listed, place.Place)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]any{int64(3), int64(0), "team-a"}, []any{last.Found, last.New, last.Profile}); diff != "" {
			t.Error(diff)
		}
	})
}

// A listing of a part of a place stands for none of all of it, nor the other way round. It is
// left out if nothing is missing of the part.
func TestAListingOfAllIsWrittenDownBehindOneOfAPart(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	for i, step := range []struct {
		partial      bool
		new, missing int
		written      bool
	}{
		{false, 4, 4, true},
		{true, 0, 0, false},
		{true, 2, 0, true},
		{false, 0, 0, true},
		{true, 0, 3, true},
		{true, 0, 0, true},
		{true, 0, 0, false},
		{false, 0, 0, true},
	} {
		before := len(linesOf(t, a))
		if err := a.RecordListing(Listing{Place: "sls://cn-hangzhou/project/", New: step.new, Missing: step.missing, Partial: step.partial}); err != nil {
			t.Fatal(err)
		}
		if written := len(linesOf(t, a)) > before; written != step.written {
			t.Errorf("listing %d: written: %v", i+1, written)
		}
	}
}
