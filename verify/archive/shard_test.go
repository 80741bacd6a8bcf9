package archive

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tallyman/verify/archive/ledger"
)

// The shards have each key once that has landed, whatever became of it, and not one that was
// removed; each says when it was rechecked, alone or with all.
func TestShardsHaveWhatLandedOnce(t *testing.T) {
	a := mustOpen(t, filepath.Join(t.TempDir(), "archive"))
	for _, l := range []ledger.Line{
		{Kind: ledger.Landed, Key: "sls/r/p/whole", Bytes: 3}, {Kind: ledger.Landed, Key: "sls/r/p/gone", Bytes: 4}, {Kind: ledger.Absent, Key: "sls/r/p/gone"},
		{Kind: ledger.Landed, Key: "sls/r/p/removed"}, {Kind: ledger.Removed, Key: "sls/r/p/removed"}, {Kind: ledger.Asked, Key: "sls/r/p/asked"},
		{Kind: ledger.Rechecked, At: time.Unix(1e9, 0)}, {Kind: ledger.Rechecked, Part: "2/3", At: time.Unix(1.1e9, 0)}, {Kind: ledger.Rechecked, Part: "3/7", At: time.Unix(1.2e9, 0)},
	} {
		if err := a.Ledger().Append(l); err != nil {
			t.Fatal(err)
		}
	}
	all, bytes, err := a.Landings(Shard{})
	if want := []string{"sls/r/p/gone", "sls/r/p/whole"}; !slices.Equal(all, want) || bytes != 3 || err != nil {
		t.Errorf("all: %q, %d, %v", all, bytes, err)
	}
	var parts []string
	for k := range uint64(3) {
		keys, _, err := a.Landings(Shard{k + 1, 3})
		if parts = append(parts, keys...); err != nil {
			t.Error(err)
		}
	}
	if slices.Sort(parts); !slices.Equal(parts, all) {
		t.Errorf("the shards have %q", parts)
	}
	at, err := a.Rechecked(3)
	if err != nil || len(at) != 3 || at[0].Unix() != 1e9 || at[1].Unix() != 1.1e9 || at[2].Unix() != 1e9 {
		t.Errorf("rechecked at %v, %v", at, err)
	}
}

// One at a time rechecks in the background, and no fetch is kept waiting by it.
func TestRechecksAreLocked(t *testing.T) {
	a := mustOpen(t, filepath.Join(t.TempDir(), "archive"))
	end, err := a.Exclusive("rechecks")
	if err != nil {
		t.Fatal(err)
	}
	if a.run.noLocks.Load() {
		t.Skip("the system has no locks of bytes")
	}
	if _, err := a.Exclusive("rechecks"); !errors.Is(err, ErrBusy) {
		t.Fatal(err)
	}
	in, err := a.Begin(t.Context(), "sls://r/p/j", "sls/r/p/j")
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	end()
	if end, err = a.Exclusive("rechecks"); err != nil {
		t.Fatal(err)
	}
	end()
}
