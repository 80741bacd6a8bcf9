package archive

import (
	"errors"
	"io/fs"
	"iter"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify"
)

func pinsOf(err error, pins ...Pinned) iter.Seq2[Pinned, error] {
	return func(yield func(Pinned, error) bool) {
		for _, p := range pins {
			if !yield(p, nil) {
				return
			}
		}
		if err != nil {
			yield(Pinned{}, err)
		}
	}
}

var somePins = []Pinned{
	{"a.csv", "csv", verify.Want{Size: 10, ETag: `"x"`, CRC64: "7"}},
	{"日志/é \"<&>.csv", "", verify.Want{Size: 0, MD5: "d41d8cd98f00b204e9800998ecf8427e"}},
	{"unknown", "json", verify.NoPromise()},
}

func TestPinsAreReadAsTheyWereWritten(t *testing.T) {
	in := mustBegin(t, mustOpen(t, t.TempDir()))
	defer in.Close()
	if _, err := in.Pins(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	if err := in.Pin(pinsOf(nil, somePins...)); err != nil {
		t.Fatal(err)
	}
	want := map[string]Pinned{}
	for _, p := range somePins {
		want[p.Name] = p
	}
	got, err := in.Pins()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
	if err := in.Unpin(); err != nil {
		t.Error(err)
	}
	if _, err := in.Pins(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after: %v", err)
	}
	if err := in.Unpin(); err != nil {
		t.Errorf("once more: %v", err)
	}
}

func TestAListingThatFailsPinsNothing(t *testing.T) {
	in := mustBegin(t, mustOpen(t, t.TempDir()))
	defer in.Close()
	for n := range len(somePins) {
		if err := in.Pin(pinsOf(errCrash, somePins[:n]...)); !errors.Is(err, errCrash) {
			t.Errorf("%v", err)
		}
		if _, err := in.Pins(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %d: %v", n, err)
		}
	}
}

func TestPinsThatWereCutShortAreAbsent(t *testing.T) {
	in := mustBegin(t, mustOpen(t, t.TempDir()))
	defer in.Close()
	if err := in.Pin(pinsOf(nil, somePins...)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(in.path(pinsFile))
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(b) - 1 { // the last is the newline
		if err := os.WriteFile(in.path(pinsFile), b[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := in.Pins(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d of %d bytes: %v, %v", n, len(b), got, err)
		}
	}
}

func TestPinsAreCompleteOrAbsentAfterACrash(t *testing.T) {
	for at, ended := 1, false; !ended; at++ {
		dir := t.TempDir()
		in := mustBegin(t, mustOpen(t, dir))
		seen := 0
		in.archive.step = func(string, string) error {
			if seen++; seen == at {
				return errCrash
			}
			return nil
		}
		err := in.Pin(pinsOf(nil, somePins...))
		ended = seen < at
		in.archive.step = func(string, string) error { return nil }
		got, read := in.Pins()
		if there := read == nil && len(got) == len(somePins); there != (err == nil) || !there && !errors.Is(read, fs.ErrNotExist) {
			t.Errorf("step %d: %v, then %v, %v", at, err, got, read)
		}
		in.Close()
	}
}
