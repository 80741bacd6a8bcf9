package dbs

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// Its service always has others.
func TestNoListingGoesOnForEver(t *testing.T) {
	w := walk{seen: map[string]bool{}}
	for i := range api.MaxJobs {
		w.seen[strconv.Itoa(i)] = true
	}
	_, err := w.step(&page{answer: &api.Answer{}, tasks: []*task{{}}})
	if !errors.Is(err, fetch.ErrRefused) || !strings.Contains(err.Error(), "more than 1000000 tasks") {
		t.Errorf("%v", err)
	}
}
