package sls

import (
	"iter"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

func FuzzList(f *testing.F) {
	bodies := append(fetchtest.Recorded(f, "testdata/list/*.txtar"),
		`{"total":1000000,"results":[{"name":"a"},{"name":"a/b"},{"name":"signingKey"}]}`, `{"total":"0"}`)
	fetchtest.FuzzJobs(f, bodies, placeRef, func(t *testing.T, status int, body string) iter.Seq2[fetch.Listed, error] {
		return answering(status, body).List(t.Context(), parsePlace(t, placeRef), time.Time{})
	})
}
