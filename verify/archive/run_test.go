package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// dieInAttempts has a process begin attempts at exports of those keys, end some of them,
// and die. Its directory stays.
func dieInAttempts(t testing.TB, dir string, keys, ended []string) {
	t.Helper()
	a := mustOpen(t, dir)
	ends := map[string]func(){}
	for _, key := range keys {
		end, err := a.Attempt("sls://"+strings.TrimPrefix(key, "sls/"), key)
		if err != nil {
			t.Fatal(err)
		}
		ends[key] = end
	}
	for _, key := range ended {
		ends[key]()
	}
	if err := a.run.lock.Close(); err != nil { // as the system does for a process that dies
		t.Fatal(err)
	}
}

func startsOf(t testing.TB, a *Archive, key string) int {
	t.Helper()
	_, counters, err := a.State(key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return counters.Starts
}

func TestAnAttemptWhoseProcessDiedIsCounted(t *testing.T) {
	dir := t.TempDir()
	a := mustOpen(t, dir)
	const died, other, ended, landed = "sls/r/p/died", "sls/r/p/other", "sls/r/p/ended", testKey
	for n := 1; n <= 3; n++ {
		dieInAttempts(t, dir, []string{died, other, ended, landed}, []string{ended})
		if _, err := land(a, threeObjects()); n == 1 && err != nil { // which finds what the other left
			t.Fatal(err)
		}
		end, err := a.Attempt("sls://r/p/next", "sls/r/p/next")
		if err != nil {
			t.Fatal(err)
		}
		end()
		got := [3]int{startsOf(t, a, died), startsOf(t, a, other), startsOf(t, a, ended)}
		if want := [3]int{n, n, 0}; got != want {
			t.Errorf("after %d: counted %v, want %v", n, got, want)
		}
	}
	if _, err := os.Lstat(a.runsPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s stays: %v", a.runsPath(), err)
	}
	if _, err := os.Lstat(ingestOf(a)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an ingest of what has landed: %v", err)
	}
}

func TestAttemptsThatEndLeaveNothing(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	end, err := a.Attempt(testRef, testKey)
	if err != nil {
		t.Fatal(err)
	}
	end()
	mustHaveFiles(t, filepath.Join(a.dir, ingestDir))
}

// A process may work for years.
func TestWhatHasEndedIsDroppedFromTheListOfAttempts(t *testing.T) {
	dir := t.TempDir()
	a := mustOpen(t, dir)
	name := strings.Repeat("n", 200)
	stays, err := a.Attempt(testRef, testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer stays()
	most := int64(0)
	for i := range 3 * maxStarts / 500 {
		end, err := a.Attempt("sls://r/p/"+name, fmt.Sprintf("sls/r/p/%s%d", name, i))
		if err != nil {
			t.Fatal(err)
		}
		end()
		info, err := os.Stat(filepath.Join(a.run.dir, startsFile))
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, info.Size())
	}
	if most > maxStarts || most < maxStarts-1000 {
		t.Errorf("the list had up to %d bytes", most)
	}
	begun := readStarts(a.run.dir)
	if len(begun) != 1 || begun[0].Begin != testKey || begun[0].Reference != testRef {
		t.Errorf("%+v", begun)
	}
}
