package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify"
	"tallyman/verify/archive/ledger"
)

// landCSV lands an export of one object with that body. Its job promises want.
func landCSV(t *testing.T, body string, want verify.Want, summed bool, summary Summary) *Receipt {
	t.Helper()
	a := mustOpen(t, t.TempDir())
	in := mustBegin(t, a)
	defer in.Close()
	p := mustPartial(t, in, "o.csv", want)
	defer p.Close()
	for part := range p.Missing(int64(len(body)), testPart) {
		if err := fill(part, body); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(p.Wire(t.Context()))
	if err := errors.Join(err, create(p, "o.csv", b), p.Finish("zstd", summed)); err != nil {
		t.Fatal(err)
	}
	r, err := in.Commit(summary)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := a.Receipt(testKey)
	if err != nil || kept.Landed != r.Landed || !slices.Equal(kept.Doubts, r.Doubts) || len(kept.Objects) != 1 {
		t.Errorf("%+v on disk, %v", kept, err)
	}
	return r
}

func TestAReceiptSaysWhatWasPromisedAndWhatHeld(t *testing.T) {
	body := "a,b\n1,2\n3,4\n"
	size := int64(len(body))
	for _, tt := range []struct {
		name    string
		want    verify.Want
		summed  bool
		records int64
		doubts  []string
		proof   string
		check   string // of the records
	}{
		{"all held", promise(body), false, 3, nil, verify.CheckCRC64, verify.Held},
		{"a header row", promise(body), false, 2, nil, verify.CheckCRC64, verify.Held},
		{"other records", promise(body), false, 7, []string{"count-mismatch: 2 records and a header, the job promised 7"}, verify.CheckCRC64, verify.Broken},
		{"no records promised", promise(body), false, verify.Unknown, nil, verify.CheckCRC64, ""},
		{"size alone", verify.Want{Size: size}, false, 3, []string{"unproven: of o.csv only its size was promised"}, "", verify.Held},
		{"size and the codec's checksum", verify.Want{Size: size}, true, 3, nil, "size and the codec's checksum", verify.Held},
	} {
		r := landCSV(t, body, tt.want, tt.summed, Summary{Reference: testRef, Status: "OK", Records: tt.records, Doubts: []string{"notice"}})
		o := r.Objects[0]
		if !slices.Equal(r.Doubts, append([]string{"notice"}, tt.doubts...)) && !slices.Equal(r.Doubts[1:], tt.doubts) || o.Proof != tt.proof {
			t.Errorf("%s: doubts %q, proof %q", tt.name, r.Doubts, o.Proof)
		}
		if tt.check != "" && (len(r.Checks) != 1 || r.Checks[0].Verdict != tt.check) || tt.check == "" && len(r.Checks) > 0 {
			t.Errorf("%s: %v", tt.name, r.Checks)
		}
		if r.Bytes != size || r.Files != 1 || r.Records != 3 || r.Reference != testRef || r.Key != testKey || o.Codec != "zstd" || o.Job.want() != tt.want {
			t.Errorf("%s: %+v", tt.name, r)
		}
	}
}

// Header rows are told apart from records, and a promise that holds only if they
// count is not told as one that holds of the data.
func TestAReceiptTellsHeadersFromRecords(t *testing.T) {
	words := "who,what\nalice,login\nbob,logout\n" // the first row may be a header or not
	for _, tt := range []struct {
		name, body string
		promised   int64
		rows       string
		counted    bool
	}{
		{"nothing promised", "a,b\n1,2\n3,4\n", verify.Unknown, "2 rows and a header", false},
		{"the data promised", "a,b\n1,2\n3,4\n", 2, "2 rows and a header", false},
		{"the header promised too", "a,b\n1,2\n3,4\n", 3, "2 rows and a header", true},
		{"something else promised", "a,b\n1,2\n3,4\n", 9, "2 rows and a header", false},
		{"a header that only the promise tells", words, 2, "2 rows and a header", false},
		{"no header by the promise", words, 3, "3 rows", false},
		{"no header", "1,2\n3,4\n", 2, "2 rows", false},
		{"a header alone", "a,b\n", 0, "0 rows and a header", false},
		{"one row", "a,b\n1,2\n", verify.Unknown, "1 row and a header", false},
		{"not countable", "\x00\x01", verify.Unknown, "", false},
	} {
		r := landCSV(t, tt.body, promise(tt.body), false, Summary{Reference: testRef, Records: tt.promised})
		if r.HeadersCounted != tt.counted || r.Records >= 0 && r.Rows("row") != tt.rows {
			t.Errorf("%s: %s, headers counted: %v", tt.name, r.Rows("row"), r.HeadersCounted)
		}
	}
	if earlier := (&Receipt{Records: 3}); earlier.Rows("row") != "3 rows" {
		t.Errorf("a receipt that knows no headers: %s", earlier.Rows("row"))
	}
	if many := (&Receipt{Records: 12002, Headers: 2}); many.Rows("row") != "12000 rows and 2 headers" {
		t.Error(many.Rows("row"))
	}
}

func TestAPromisedCountOfWhatCanNotBeCountedIsADoubt(t *testing.T) {
	for body, doubts := range map[string][]string{
		"\x00\x01\x02": {"not-comparable: the job promised 1 records, and those of o.csv can't be counted"},
		"a,b\n":        {},
	} {
		if r := landCSV(t, body, promise(body), false, Summary{Reference: testRef, Records: 1}); !slices.Equal(r.Doubts, doubts) {
			t.Errorf("%q: doubts %q, want %q", body, r.Doubts, doubts)
		}
		if r := landCSV(t, body, promise(body), false, Summary{Reference: testRef, Records: verify.Unknown}); len(r.Doubts) > 0 {
			t.Errorf("%q, nothing promised: doubts %q", body, r.Doubts)
		}
	}
}

// The manifest of a bag without files is empty, which sha256sum -c refuses.
func TestABagWithoutFilesIsADoubt(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	in := mustBegin(t, a)
	defer in.Close()
	p := mustPartial(t, in, "o.zip", verify.Want{Size: 0})
	defer p.Close()
	_, err := io.ReadAll(p.Wire(t.Context()))
	if err := errors.Join(err, p.Finish("zip", true)); err != nil {
		t.Fatal(err)
	}
	r, err := in.Commit(Summary{Reference: testRef, Records: verify.Unknown})
	if err != nil || !slices.Equal(r.Doubts, []string{"empty: there are no files in it, and its manifest is empty"}) {
		t.Errorf("%+v, %v", r, err)
	}
	if err := a.Recheck(t.Context(), testKey, nil); err != nil {
		t.Error(err)
	}
}

// If the job promises an empty object, the store is not asked.
func TestAnObjectOfNoBytesLandsWithoutItsStore(t *testing.T) {
	r := landCSV(t, "", verify.Want{Size: 0}, false, Summary{Reference: testRef, Records: 0})
	if r.Files != 1 || r.Bytes != 0 || r.Records != 0 || r.Objects[0].Store.want() != verify.NoPromise() {
		t.Errorf("%+v", r)
	}
}

func TestAReceiptSaysWhenTheExportWasFirstSeen(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	in := mustPersist(t, a)
	in.state.FirstSeen = time.Date(2025, 8, 1, 2, 3, 4, 0, time.UTC)
	if err := errors.Join(a.step.WriteJSON(in.path("state.json"), in.state), in.Close()); err != nil {
		t.Fatal(err)
	}
	r, err := land(a, threeObjects())
	if err != nil || !r.FirstSeen.Equal(in.state.FirstSeen) {
		t.Errorf("%v, %v", r, err)
	}
}

func TestAnExportThatHasNotLandedHasNoReceipt(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	mustBegin(t, a).Close()
	_, receipt := a.Receipt(testKey)
	_, landed := a.Landed(testKey)
	for _, err := range []error{receipt, landed, a.Recheck(t.Context(), testKey, nil)} {
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
			t.Errorf("%v", err)
		}
	}
}

// The line of the ledger has the window, also if a crash kept it from being written
// and the next to come makes it of the receipt.
func TestTheWindowOfAnExportIsInItsReceiptAndItsLine(t *testing.T) {
	window := &ledger.Window{Group: "access *", From: 1722409860, To: 1722411060}
	for _, want := range []*ledger.Window{window, nil} {
		a := mustOpen(t, t.TempDir())
		in := mustBegin(t, a)
		if err := receive(in, "o.csv", "a\n"); err != nil {
			t.Fatal(err)
		}
		r, err := in.Commit(Summary{Reference: testRef, Window: want, Records: verify.Unknown})
		if err := errors.Join(err, in.Close()); err != nil {
			t.Fatal(err)
		}
		line, err := a.presence(testKey)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := a.Receipt(testKey)
		if err != nil {
			t.Fatal(err)
		}
		for where, got := range map[string]*ledger.Window{"receipt": r.Window, "receipt on disk": kept.Window, "line": line.Window, "line made of the receipt": landedLine(kept, "").Window} {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: (-want +got)\n%s", where, diff)
			}
		}
	}
}

// The receipt and the line of the ledger tell what all CSV files begin with, and what the
// promise of records makes of that. A receipt of an earlier version tells nothing.
func TestAReceiptTellsTheFirstRecord(t *testing.T) {
	first := func(f ledger.First) *ledger.First { return &f }
	for _, tt := range []struct {
		name     string
		bodies   []string
		promised int64
		want     *ledger.First
	}{
		{"nothing promised", []string{"a,b\n1,2\n"}, verify.Unknown, first(ledger.First{SHA256: "a,b", Files: 1})},
		{"a header by the promise", []string{"a,b\r\n1,2\r\n"}, 1, first(ledger.First{SHA256: "a,b", Files: 1, Promise: ledger.FirstIsHeader})},
		{"a row by the promise", []string{"a,b\n1,2\n"}, 2, first(ledger.First{SHA256: "a,b", Files: 1, Promise: ledger.FirstIsRow})},
		{"a promise that is broken", []string{"a,b\n1,2\n"}, 9, first(ledger.First{SHA256: "a,b", Files: 1})},
		{"the same again", []string{"a,b\na,b\n"}, 2, first(ledger.First{SHA256: "a,b", Files: 1, Again: true, Promise: ledger.FirstIsRow})},
		{"files that begin alike, and an empty one", []string{"a,b\n1,2\n", "", "a,b\n3,4\n5,6\n"}, 3, first(ledger.First{SHA256: "a,b", Files: 2, Promise: ledger.FirstIsHeader})},
		{"files that don't", []string{"a,b\n1,2\n", "c,d\nc,d\n", "a,b\n"}, verify.Unknown, first(ledger.First{Files: 3, Again: true})},
		{"no records", []string{"\n"}, 0, nil},
	} {
		if tt.want != nil && tt.want.SHA256 != "" {
			tt.want.SHA256 = fmt.Sprintf("%x", sha256.Sum256([]byte(tt.want.SHA256)))
		}
		a := mustOpen(t, t.TempDir())
		in := mustBegin(t, a)
		for i, body := range tt.bodies {
			name := fmt.Sprintf("o-%d.csv", i)
			p := mustPartial(t, in, name, promise(body))
			for part := range p.Missing(int64(len(body)), testPart) {
				if err := fill(part, body); err != nil {
					t.Fatal(err)
				}
			}
			b, err := io.ReadAll(p.Wire(t.Context()))
			if err := errors.Join(err, create(p, name, b), p.Finish("", false), p.Close()); err != nil {
				t.Fatal(err)
			}
		}
		_, err := in.Commit(Summary{Reference: testRef, Records: tt.promised})
		if err = errors.Join(err, in.Close()); err != nil {
			t.Fatal(err)
		}
		r, err := a.Receipt(testKey)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := a.EventsOf(testKey)
		if err != nil {
			t.Fatal(err)
		}
		for where, got := range map[string]*ledger.First{"the receipt": r.First, "the ledger": lines[len(lines)-1].First} {
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, in %s: (-want +got)\n%s", tt.name, where, diff)
			}
		}
	}
}
