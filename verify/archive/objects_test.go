package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/verify"
)

// fourObjects returns an archive where an attempt at four objects received three and
// half of the fourth.
func fourObjects(t *testing.T) (*Archive, export) {
	t.Helper()
	e := export{"a.csv": rows(10), "b/b.csv": rows(20), "b/c.csv": rows(30), "d.csv": rows(40)}
	a := mustOpen(t, t.TempDir())
	in := mustBegin(t, a)
	defer in.Close()
	for _, name := range e.names()[:3] {
		if err := receive(in, name, e[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := create(mustPartial(t, in, "d.csv", promise(e["d.csv"])), "d.csv", []byte("half of it")); err != nil {
		t.Fatal(err)
	}
	return a, e
}

// done lists the objects that need not be received again.
func done(t *testing.T, a *Archive, e export) string {
	t.Helper()
	in := mustBegin(t, a)
	defer in.Close()
	var done []string
	for _, name := range e.names() {
		if in.Done(name, promise(e[name])) {
			done = append(done, name)
		}
	}
	return strings.Join(done, " ")
}

func mustLandAll(t *testing.T, a *Archive, e export) {
	t.Helper()
	if _, err := land(a, e); err != nil {
		t.Fatal(err)
	}
	mustHaveLanded(t, a, e)
}

func TestObjectsThatAreDoneAreNotReceivedAgain(t *testing.T) {
	a, e := fourObjects(t)
	if got := done(t, a, e); got != "a.csv b/b.csv b/c.csv" {
		t.Errorf("%s are done", got)
	}
	mustLandAll(t, a, e)
}

func TestAnObjectWhoseFilesAreNotAsTheyWereIsReceivedAgain(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, ingest string){
		"gone":       func(t *testing.T, ingest string) { os.Remove(filepath.Join(ingest, "bag/data/b/c.csv")) },
		"flipped":    func(t *testing.T, ingest string) { edit(t, filepath.Join(ingest, "bag/data/b/c.csv"), flip) },
		"cut short":  func(t *testing.T, ingest string) { edit(t, filepath.Join(ingest, "bag/data/b/c.csv"), cutShort) },
		"its line":   func(t *testing.T, ingest string) { edit(t, filepath.Join(ingest, objectsFile), cutShort) },
		"other path": func(t *testing.T, ingest string) { edit(t, filepath.Join(ingest, objectsFile), escape) },
		"a symlink": func(t *testing.T, ingest string) {
			path := filepath.Join(ingest, "bag/data/b/c.csv")
			os.Rename(path, filepath.Join(ingest, "c.csv"))
			os.Symlink(filepath.Join(ingest, "c.csv"), path)
		},
	} {
		a, e := fourObjects(t)
		change(t, filepath.Join(a.dir, ingestDir, testHash))
		if got := done(t, a, e); got != "a.csv b/b.csv" {
			t.Errorf("%s: %s are done", name, got)
		}
		mustLandAll(t, a, e)
	}
}

func flip(b []byte) []byte     { b[len(b)/2] ^= 1; return b }
func cutShort(b []byte) []byte { return b[:len(b)-3] }

func escape(b []byte) []byte {
	return []byte(strings.ReplaceAll(string(b), `"b/c.csv"`, `"../../../../`+"x"+`"`))
}

func TestALineThatWasCutShortSwallowsNoOther(t *testing.T) {
	a, e := fourObjects(t)
	edit(t, filepath.Join(a.dir, ingestDir, testHash, objectsFile), cutShort)
	in := mustBegin(t, a)
	for _, name := range e.names()[2:] {
		if err := receive(in, name, e[name]); err != nil {
			t.Fatal(err)
		}
	}
	in.Close()
	if got := done(t, a, e); got != strings.Join(e.names(), " ") {
		t.Errorf("%s are done", got)
	}
}

func TestAnObjectIsDoneUnderPromisesThatDoNotContradict(t *testing.T) {
	job := verify.Want{Size: 30, ETag: "EXSF"}
	for _, tt := range []struct {
		name string
		now  verify.Want
		done bool
	}{
		{"the same", job, true},
		{"none", verify.NoPromise(), true},
		{"more", verify.Want{Size: 30, CRC64: promise(rows(30)).CRC64}, true},
		{"another size", verify.Want{Size: 31}, false},
		{"another CRC64", verify.Want{Size: 30, CRC64: "1"}, false},
		{"another opaque ETag", verify.Want{Size: 30, ETag: "GSDA"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := mustBegin(t, mustOpen(t, t.TempDir()))
			defer in.Close()
			again := func(want verify.Want) error {
				p := mustPartial(t, in, "o", want)
				defer p.Close()
				err := p.AddPromise(verify.Want{Size: 30, CRC64: promise(rows(30)).CRC64})
				for part := range p.Missing(30, testPart) {
					err = errors.Join(err, fill(part, rows(30)))
				}
				return errors.Join(err, decode(p, "o.csv"))
			}
			if err := again(job); err != nil {
				t.Fatal(err)
			}
			if got := in.Done("o", tt.now); got != tt.done {
				t.Fatalf("done: %v", got)
			}
			if err := again(job); err != nil {
				t.Errorf("received again: %v", err)
			}
			if _, err := in.Commit(Summary{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnObjectThatTheExportHasNoLongerIsLeftOut(t *testing.T) {
	a, e := fourObjects(t)
	delete(e, "a.csv")
	r, err := land(a, e)
	if err != nil || len(r.Objects) != 3 || r.Files != 3 {
		t.Fatalf("%+v, %v", r, err)
	}
	mustHaveLanded(t, a, e)
}

func TestAnExportWithoutObjectsDoesNotLand(t *testing.T) {
	a, _ := fourObjects(t)
	if _, err := land(a, export{}); !errors.Is(err, errNoObjects) {
		t.Errorf("%v, want %v", err, errNoObjects)
	}
}

func TestManyObjectsAreListedBesideTheReceipt(t *testing.T) {
	for _, n := range []int{maxListed, maxListed + 1} {
		e := export{}
		for i := range n {
			e[fmt.Sprintf("%03d.csv", i)] = rows(i)
		}
		a, bag := mustLand(t, t.TempDir(), e)
		mustHaveLanded(t, a, e)
		r, err := a.Receipt(testKey)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(bag, objectsFile))
		many := n > maxListed
		if (err == nil) != many || (len(r.Objects) == 0) != many || r.Files != n {
			t.Errorf("%d objects: %d in the receipt, %v", n, len(r.Objects), err)
		}
		for i, line := range strings.SplitAfter(string(b), "\n") {
			var o Object
			if line != "" && (json.Unmarshal([]byte(line), &o) != nil || o.Name != fmt.Sprintf("%03d.csv", i) || o.Proof != verify.CheckCRC64) {
				t.Errorf("line %d is %s", i, line)
			}
		}
	}
}

// An object that was received for another hidden part of the reference is received
// again, unless the job promises a hash of it.
func TestWhatIsDoneForAnotherHiddenPartIsReceivedAgain(t *testing.T) {
	for _, tt := range []struct {
		hidden string
		want   verify.Want
		done   bool
	}{
		{"11111111", verify.NoPromise(), true},
		{"22222222", verify.NoPromise(), false},
		{"", verify.Want{Size: 4}, false},
		{"22222222", promise("body"), true},
	} {
		a := mustOpen(t, t.TempDir())
		in := mustBegin(t, a)
		in.Hidden = "11111111"
		if err := errors.Join(receive(in, "o", "body"), in.Close()); err != nil {
			t.Fatal(err)
		}
		in = mustBegin(t, a)
		in.Hidden = tt.hidden
		if done := in.Done("o", tt.want); done != tt.done {
			t.Errorf("%q, %+v: %t", tt.hidden, tt.want, done)
		}
		in.Close()
	}
}
