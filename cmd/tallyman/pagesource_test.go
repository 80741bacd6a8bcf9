package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is said of all places is the sum of what each of them says.
func TestTheSumsOfAllPlacesAreThoseOfEach(t *testing.T) {
	missing := int64(4)
	places := []observedPlace{
		{placeLine: &placeLine{Landed: 3, Doubts: 1, Waiting: 5, Failed: 2, Gaps: 1, Late: 1, Ending: 2, Missing: &missing}},
		{placeLine: &placeLine{Landed: 4, Doubts: 2, Waiting: 6, Failed: 3, Gaps: 2, Late: 1, Ending: 1, Gone: 2, Accepted: 1, Message: "refused"}},
	}
	var got []string
	for _, sum := range sumsOfAll(places, time.Now()) {
		got = append(got, sum.Text)
	}
	want := []string{
		"7 landed", "3 with doubts", "11 waiting", "5 failed", "2 damaged or gone", "1 accepted", "3 gaps", "2 late",
		"3 won't land in time", "4 missing", "1 place not listed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if sums := sumsOfAll(places[:1], time.Now()); sums != nil {
		t.Errorf("of a single place, whose own sums are there: %v", sums)
	}
}
