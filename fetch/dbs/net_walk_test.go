package dbs

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/internal/joblist"
)

// Its service always has others.
func TestNoListingGoesOnForEver(t *testing.T) {
	w := walk{Walk: joblist.NewWalk("tasks")}
	for i := range 1_000_000 {
		w.New(strconv.Itoa(i))
	}
	_, err := w.take(&page{answer: &api.Answer{}, tasks: []*task{{}}})
	if !errors.Is(err, fetch.ErrRefused) || !strings.Contains(err.Error(), "more than 1000000 tasks") {
		t.Errorf("%v", err)
	}
}
