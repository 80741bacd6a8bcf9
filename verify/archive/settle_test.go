package archive

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"tallyman/verify/archive/ledger"
)

// mustOpenReadOnly opens an archive of which no file can be changed.
func mustOpenReadOnly(t testing.TB, dir string) *Archive {
	t.Helper()
	a, err := OpenExisting(dir)
	if err == nil {
		a.step = func(op, path string) error { return syscall.EROFS }
		err = a.open("", SiteArchive) // again, so that the ledger has the same disk
	}
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What landed before there was a ledger is told to a reader that may not write to it, and
// written down by one that may.
func TestSettleAdoptsOrTells(t *testing.T) {
	dir := t.TempDir()
	a, err := Open(dir, "", SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	if lines, unwritten, err := a.Settle(t.Context()); len(lines) > 0 || unwritten != nil || err != nil {
		t.Errorf("of an empty archive: %v, %v, %v", lines, unwritten, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, ledgerDir)); err == nil {
		t.Error("a ledger was made, and nothing was to be written to it")
	}
	plantEarlier(t, dir, "a", "b")
	lines, unwritten, err := mustOpenReadOnly(t, dir).Settle(t.Context())
	if len(lines) != 2 || lines[0].Bytes != 7 || !errors.Is(unwritten, syscall.EROFS) || err != nil {
		t.Errorf("of one that is read-only: %+v, %v, %v", lines, unwritten, err)
	}
	if a, err = OpenExisting(dir); err != nil {
		t.Fatal(err)
	}
	if lines, unwritten, err := a.Settle(t.Context()); len(lines) > 0 || unwritten != nil || err != nil {
		t.Errorf("of one that can be written: %v, %v, %v", lines, unwritten, err)
	}
	if n := len(ledgerLines(t, a)); n != 3 {
		t.Errorf("the ledger has %d lines", n)
	}
}

// A bag whose commit was cut short before its line counts, even where nobody can finish it.
func TestSettleFinishesBatchesOrTells(t *testing.T) {
	dir := t.TempDir()
	a, _ := mustLand(t, dir, threeObjects())
	line, err := a.presence(testKey)
	if err != nil {
		t.Fatal(err)
	}
	// A process renamed the bag and died: there is its batch, and no line.
	if err := os.RemoveAll(filepath.Join(dir, ledgerDir)); err != nil {
		t.Fatal(err)
	}
	r := run{}
	batch := a.runsPath("DEAD", batchFile)
	err = os.MkdirAll(filepath.Dir(batch), 0o755)
	if err == nil {
		r.batch, err = os.Create(batch)
	}
	if err == nil {
		err = errors.Join(r.writeBatch(a.step, []ledger.Line{*line}), r.batch.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	lines, unwritten, err := mustOpenReadOnly(t, dir).Settle(t.Context())
	if len(lines) != 1 || lines[0].Key != testKey || lines[0].At.IsZero() || !errors.Is(unwritten, syscall.EROFS) || err != nil {
		t.Errorf("of one that is read-only: %+v, %v, %v", lines, unwritten, err)
	}
	other, err := OpenExisting(dir)
	if err != nil {
		t.Fatal(err)
	}
	if lines, unwritten, err := other.Settle(t.Context()); len(lines) > 0 || unwritten != nil || err != nil {
		t.Errorf("of one that can be written: %v, %v, %v", lines, unwritten, err)
	}
	if now, err := other.presence(testKey); now == nil || now.Bag != line.Bag || err != nil {
		t.Errorf("%+v, %v", now, err)
	}
}
