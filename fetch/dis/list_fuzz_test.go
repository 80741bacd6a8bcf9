package dis

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch/fetchtest"
)

// Whatever a log of deliveries is, it ends, each file is named once and by a
// reference of the place, and an error is in one line and tells no key.
func FuzzList(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range names {
		if archive, err := txtar.ParseFile(name); err == nil {
			_, body, _ := strings.Cut(string(archive.Files[0].Data), "\n\n")
			f.Add(200, body)
			f.Add(403, body)
		}
	}
	f.Add(200, `{"totalNum":1000,"transferTaskLogList":[{"transferFileName":"a"},{"transferFileName":"a/b"},{"transferFileName":"keyOfOurs","endTime":1}]}`)
	f.Add(200, `{"totalNum":"0"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		synctest.Test(t, func(t *testing.T) {
			seen := map[string]bool{}
			p := answering(100+(status%500+500)%500, strings.ReplaceAll(body, "keyOfOurs", fetchtest.Secret))
			for job, err := range p.List(t.Context(), parsePlace(t, placeRef), time.Time{}) {
				if err != nil {
					if got := err.Error(); strings.Contains(got, fetchtest.Secret) || strings.ContainsAny(got, "\r\n") {
						t.Errorf("%q", got)
					}
					continue
				}
				if key := job.Ref.Key(); seen[key] || !strings.HasPrefix(job.Ref.String(), placeRef) || strings.Contains(job.Status, fetchtest.Secret) {
					t.Errorf("%s, %q", job.Ref, job.Status)
				} else {
					seen[key] = true
				}
			}
		})
	})
}
