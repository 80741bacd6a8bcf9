package dis

import (
	"iter"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

func FuzzList(f *testing.F) {
	bodies := append(fetchtest.Recorded(f, "testdata/*.txtar"),
		`{"totalNum":1000,"transferTaskLogList":[{"transferFileName":"a"},{"transferFileName":"a/b"},{"transferFileName":"signingKey","endTime":1}]}`, `{"totalNum":"0"}`)
	fetchtest.FuzzJobs(f, bodies, placeRef, func(t *testing.T, status int, body string) iter.Seq2[fetch.Listed, error] {
		return answering(status, body).List(t.Context(), parsePlace(t, placeRef), time.Time{})
	})
}
