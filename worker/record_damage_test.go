package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"tallyman/verify/archive"
)

// damagedRecords are contents of a record's files that this version never writes.
var damagedRecords = map[string]string{
	"nothing":         "",
	"garbage":         "\xff\x00{",
	"cut":             `{"schema":"tallyman.state/v1","refer`,
	"null":            "null",
	"a list":          "[]",
	"numbers":         `{"schema":1,"reference":2,"key":3,"starts":"x","failures":[]}`,
	"a later version": `{"schema":"tallyman.state/v9","reference":"` + jobRef + `","key":"sls/cn-hangzhou/project/job","phase":"dreaming","novel":{"x":1},"options":{"v":9,"odd":[]}}`,
	"another export":  `{"schema":"tallyman.state/v1","reference":"` + jobRef + `2","key":"sls/cn-hangzhou/project/job2","phase":"failed"}`,
	"another key":     `{"schema":"tallyman.state/v1","reference":"` + jobRef + `","key":"../../etc","phase":"failed"}`,
	"no reference":    `{"schema":"tallyman.state/v1","reference":"file:///etc/passwd","key":"etc"}`,
	"huge numbers":    `{"schema":"tallyman.state/v1","starts":1e999,"gain":99999999999999999999}`,
	"negative":        `{"starts":-5,"gain":-1,"polls":-9,"unknown":-3}`,
	"too much":        `{"key":"sls/cn-hangzhou/project/job","reference":"` + jobRef + `"` + strings.Repeat(" ", 2<<20) + "}",
	"deep":            strings.Repeat("[", 20000),
}

// Whatever the files of a record hold, the export lands, and Requeue does not fail.
func TestADamagedRecordKeepsNoExportFromLanding(t *testing.T) {
	if testing.Short() {
		t.Skip("one export after another")
	}
	t.Parallel()
	for name, text := range damagedRecords {
		for _, file := range []string{"state.json", "counts.json"} {
			t.Run(name+" in "+file, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, ref := &Worker{}, parseRef(t, jobRef)
					(&scriptedFetcher{}).setUp(t, w)
					w.Fetcher = newFetcher(newProvider(0), w.Archive)
					setPhase(t, w.Archive, ref, archive.Waiting)
					path := filepath.Join(w.Archive.Path(".ingest"), ref.Hash(), file)
					if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
					if _, err := w.Queue.Requeue(t.Context(), w.Archive); err != nil {
						t.Errorf("requeue: %v", err)
					}
					if err := fetchByWorker(t, w, ref); err != nil {
						t.Errorf("ended with %v", err)
					}
					mustLand(t, w.Archive, ref)
				})
			})
		}
	}
}
