package fetch_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

func TestSeveralObjectsHaveTheNamesOfTheirKeys(t *testing.T) {
	one, two := rows[:100], rows[100:300]
	for _, snapshot := range []bool{true, false} {
		s := fetchtest.NewMemory(
			fetchtest.NewFile("b+c d.zip", zipOf(t, 8, file{"x.csv", one}, file{"d/y.csv", two})),
			fetchtest.NewFile("tables.tar.gz", encode(t, "gzip", tarOf(t, file{"x.csv", two}))),
			fetchtest.NewFile("日志/é 1.csv.zst", encode(t, "zstd", one)),
			fetchtest.NewFile("100%.csv", two),
			fetchtest.NewFile(`back\slash`, one),
			fetchtest.NewFile("a//b.CSV.GZ", encode(t, "gzip", one)),
			fetchtest.NewFile("deep/er/c.csv", nil),
		)
		s.Snapshot = snapshot
		f := newMemoryFetcher(t, s)
		receipt := mustFetch(t, f)
		checkFiles(t, f, map[string]string{
			"b+c d.zip/x.csv": string(one), "b+c d.zip/d/y.csv": string(two), "tables.tar/x.csv": string(two),
			"日志/é 1.csv": string(one), "100_25.csv": string(two), "back_5cslash": string(one), "a/_/b.CSV": string(one), "deep/er/c.csv": "",
		})
		if len(receipt.Objects) != 7 || receipt.Files != 8 || len(receipt.Doubts) > 0 {
			t.Errorf("%d objects, %d files, doubts %q", len(receipt.Objects), receipt.Files, receipt.Doubts)
		}
	}
}

// What a name says of an encoding is true: "gzip -t" passes for each .gz.
func TestObjectsOfOneNameKeepTheirEncoding(t *testing.T) {
	gz, zst := encode(t, "gzip", rows[:200]), encode(t, "zstd", rows[:300])
	s := fetchtest.NewMemory(
		fetchtest.NewFile("a.csv", rows[:100]), fetchtest.NewFile("a.csv.gz", gz), fetchtest.NewFile("a.csv.zst", zst), fetchtest.NewFile("b.csv.gz", gz),
		fetchtest.NewFile("t.tar", tarOf(t, file{"x", rows[:10]})), fetchtest.NewFile("t.tar.gz", encode(t, "gzip", tarOf(t, file{"x", rows[:20]}))),
		&fetchtest.File{Name: "c", Body: rows[:40], Content: "csv"}, fetchtest.NewFile("c.csv", rows[:50]),
	)
	f := newMemoryFetcher(t, s)
	receipt := mustFetch(t, f)
	want := map[string]string{
		"a.csv": string(rows[:100]), "a.csv.gz": string(gz), "a.csv.zst": string(zst), "b.csv": string(rows[:200]),
		"t.tar/x": string(rows[:10]), "t.tar.gz/x": string(rows[:20]), "c": string(rows[:40]), "c.csv": string(rows[:50]),
	}
	checkFiles(t, f, want)
	records := int64(0) // of what is kept encoded, too
	for _, n := range []int{100, 200, 300, 200, 10, 20, 40, 50} {
		records += csvRecords(rows[:n])
	}
	if receipt.Records != records {
		t.Errorf("%d records, want %d", receipt.Records, records)
	}
}

// No file has the name of another object, whatever is kept.
func TestObjectsWhoseNamesCollideGetDifferentOnes(t *testing.T) {
	h := func(object string) string { return fmt.Sprintf("~%x", sha256.Sum256([]byte(object)))[:33] }
	for _, tt := range []struct{ names, content, wire []string }{
		{[]string{"a", "a/b"}, []string{"a" + h("a"), "a/b"}, nil},
		{[]string{"a/b", "a"}, []string{"a/b", "a" + h("a")}, nil},
		{[]string{"a.gz", "a/b/c"}, []string{"a.gz", "a/b/c"}, nil},
		{[]string{"a.csv.gz", "a.csv.gz/b"}, []string{"a.csv", "a.csv.gz/b"}, []string{"a.csv" + h("a.csv.gz") + ".gz", "a.csv.gz/b"}},
		{[]string{"x/y.csv", "x/y.csv/z", "z"}, []string{"x/y" + h("x/y.csv") + ".csv", "x/y.csv/z", "z"}, nil},
		{[]string{"a%.csv", "a_25.csv"}, []string{"a_25" + h("a%.csv") + ".csv", "a_25.csv"}, nil},
		{[]string{"a%.csv.gz", "a_25.csv"}, []string{"a_25.csv.gz", "a_25.csv"}, nil},
		{[]string{"a.csv", "a.csv.gz", "a.csv.zst"}, []string{"a.csv", "a.csv.gz", "a.csv.zst"}, nil},
		{[]string{"g.csv.gz", "g.csv.zst"}, []string{"g.csv.gz", "g.csv.zst"}, nil},
		{[]string{"/x", "_/x"}, []string{"_/x" + h("/x"), "_/x"}, nil},
		{[]string{"a/", "a/_"}, []string{"a/_" + h("a/"), "a/_"}, nil},
		{[]string{"%_25", "_25%"}, []string{"_25_25" + h("%_25"), "_25_25" + h("_25%")}, nil},
		{[]string{"a", "a/b", "a" + h("a")}, []string{"a" + h("a~"), "a/b", "a" + h("a")}, nil},
		{[]string{"a ", "a_20"}, []string{"a_20" + h("a "), "a_20"}, nil},
	} {
		for _, keep := range []fetch.Keep{fetch.KeepContent, fetch.KeepWire} {
			s, want := fetchtest.NewMemory(), map[string]string{}
			names := tt.content
			if keep == fetch.KeepWire && tt.wire != nil {
				names = tt.wire
			}
			for i, name := range tt.names {
				body := rows[:100+i]
				codec := map[string]string{".gz": "gzip", ".zst": "zstd"}[path.Ext(name)]
				encoded := encode(t, codec, body)
				s.Files = append(s.Files, fetchtest.NewFile(name, encoded))
				if path.Ext(names[i]) == path.Ext(name) {
					body = encoded
				}
				want[names[i]] = string(body)
			}
			f := newMemoryFetcher(t, s)
			f.Keep = keep
			mustFetch(t, f)
			t.Log(tt.names, keep)
			checkFiles(t, f, want)
			checkSums(t, f)
		}
	}
}

// --keep both has both forms of an object whose content's name is taken.
func TestBothFormsAreKeptUnderDifferentNames(t *testing.T) {
	gz := encode(t, "gzip", rows[:200])
	f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("a.csv", rows[:100]), fetchtest.NewFile("a.csv.gz", gz)))
	f.Keep = fetch.KeepBoth
	mustFetch(t, f)
	content := fmt.Sprintf("a~%x.csv", sha256.Sum256([]byte("a.csv.gz")))[:34] + ".csv"
	checkFiles(t, f, map[string]string{"a.csv": string(rows[:100]), "a.csv.gz": string(gz), content: string(rows[:200])})
}

// Where objects are not listed first, which of two of one name would be written
// first is chance, so both are refused.
func TestObjectsWhoseNamesCollideAreRefusedUnlessTheyAreListed(t *testing.T) {
	for _, tt := range [][]string{{"a", "a/b"}, {"a.gz", "a/b/c"}, {"a%.csv", "a_25.csv"}, {"a.csv", "a.csv.gz", "a.csv.gz.gz"}} {
		s := fetchtest.NewMemory()
		s.Snapshot = false
		for _, name := range tt {
			codec := map[bool]string{true: "gzip"}[strings.HasSuffix(name, ".gz")]
			s.Files = append(s.Files, fetchtest.NewFile(name, encode(t, codec, rows[:100])))
		}
		f := newMemoryFetcher(t, s)
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrUnsafeName) {
			t.Errorf("%q: %v", tt, err)
		}
		checkAbsent(t, f, exportKey)
	}
}

// fiveObjects returns objects of three parts or more each.
func fiveObjects() []*fetchtest.File {
	var items []*fetchtest.File
	for i := range 5 {
		items = append(items, fetchtest.NewFile(fmt.Sprintf("%d.csv", i), rows[:2500+300*i]))
	}
	return items
}

func TestAnObjectThatFailsCostsTheOthersNothing(t *testing.T) {
	refused := errors.New("refused by a test")
	for _, why := range []error{fetch.ErrRefused, fetch.ErrNotFound, fetch.ErrAuth, refused} {
		s := fetchtest.NewMemory(fiveObjects()...)
		started, others := make(chan struct{}), make(chan struct{})
		s.Files[1].BeforeAnswer = func(ctx context.Context, off int64) error { // answers for the first part, and then no more
			if off == 0 {
				return nil
			}
			if off == 1000 {
				close(started)
			}
			return blockUntilDone(ctx, off)
		}
		s.Files[2].BeforeAnswer = func(context.Context, int64) error { <-started; <-others; return why }
		f := newMemoryFetcher(t, s)
		f.Parallel, f.IdleTimeout = 8, time.Hour
		left := len(s.Files[0].Body) + len(s.Files[3].Body) + len(s.Files[4].Body)
		var mu sync.Mutex
		f.Progress = func(p fetch.Progress) {
			mu.Lock()
			defer mu.Unlock()
			if p.Object == "1.csv" || p.Object == "2.csv" {
				return
			}
			if left -= int(p.Bytes); left == 0 && p.Bytes > 0 {
				close(others)
			}
		}
		if _, err := fetchOnce(t, f); !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
		checkAbsent(t, f, exportKey)
		s.Files[1].BeforeAnswer, s.Files[2].BeforeAnswer, f.Progress = nil, nil, nil
		want := map[string]string{}
		_, before := s.Files[1].Counts()
		receipt := mustFetch(t, f)
		for _, i := range s.Files {
			want[i.Name] = string(i.Body)
			if _, sent := i.Counts(); sent != len(i.Body) && i != s.Files[1] {
				t.Errorf("%d bytes of %s were sent, want its %d", sent, i.Name, len(i.Body))
			}
		}
		if _, sent := s.Files[1].Counts(); sent-before > len(s.Files[1].Body)-1000 {
			t.Errorf("a part that was here was sent again: %d bytes and %d", before, sent-before)
		}
		checkFiles(t, f, want)
		if len(receipt.Objects) != 5 {
			t.Errorf("%d objects", len(receipt.Objects))
		}
	}
}

func TestAMismatchOfOneObjectKeepsThePartsOfOthers(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()[:2]...)
	halted := make(chan struct{})
	s.Files[0].Answer = flipped(1500)
	s.Files[0].BeforeAnswer = func(context.Context, int64) error { <-halted; return nil }
	s.Files[1].BeforeAnswer = func(ctx context.Context, off int64) error {
		if off < 2000 {
			return nil
		}
		close(halted)
		return blockUntilDone(ctx, off)
	}
	f := newMemoryFetcher(t, s)
	f.IdleTimeout = time.Hour
	if _, err := fetchOnce(t, f); !isMismatch(err) {
		t.Fatalf("%v, want a mismatch", err)
	}
	for _, i := range s.Files {
		i.Answer, i.BeforeAnswer = nil, nil
		i.ResetCounts()
	}
	mustFetch(t, f)
	if _, sent := s.Files[0].Counts(); sent != len(s.Files[0].Body) {
		t.Errorf("%d bytes of the one that was wrong were sent again", sent)
	}
	if _, sent := s.Files[1].Counts(); sent > len(s.Files[1].Body)-1000 {
		t.Errorf("%d bytes of the other one were sent again", sent)
	}
}

func TestObjectsShareTheRequestsInFlight(t *testing.T) {
	for _, parallel := range []int{1, 3, 8} {
		s := fetchtest.NewMemory(fiveObjects()...)
		for _, i := range s.Files {
			i.BeforeAnswer = func(context.Context, int64) error { time.Sleep(2 * time.Millisecond); return nil }
		}
		f := newMemoryFetcher(t, s)
		f.Parallel, f.PartSize = parallel, 300
		mustFetch(t, f)
		if _, most := s.Requests(); most != parallel {
			t.Errorf("%d requests were in flight, want %d", most, parallel)
		}
	}
}

func TestOneRequestAtATimeFetchesManyObjects(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	f := newMemoryFetcher(t, s)
	f.Parallel, f.PartSize = 1, 7
	mustFetch(t, f)
}

func TestCancellationEndsAllObjects(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	for _, i := range s.Files {
		i.BeforeAnswer = blockUntilDone
	}
	f := newMemoryFetcher(t, s)
	f.IdleTimeout = time.Hour
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(20*time.Millisecond, func() { cancel(errStopped) })
	if _, err := f.Fetch(ctx, parseRef(t, exportRef)); !errors.Is(err, errStopped) {
		t.Errorf("%v, want the cause", err)
	}
	checkAbsent(t, f, exportKey)
	for _, i := range s.Files {
		i.BeforeAnswer = nil
	}
	mustFetch(t, f)
}

func TestCancellationBetweenObjectsLandsNoneOfThem(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	ctx, cancel := context.WithCancelCause(context.Background())
	s.Files[4].BeforeAnswer = func(context.Context, int64) error { cancel(errStopped); return nil }
	f := newMemoryFetcher(t, s)
	f.Parallel = 1
	if _, err := f.Fetch(ctx, parseRef(t, exportRef)); !errors.Is(err, errStopped) {
		t.Errorf("%v, want the cause", err)
	}
	checkAbsent(t, f, exportKey)
}

func TestDoubtsOfManyUnprovenObjectsAreSummedUp(t *testing.T) {
	s := fetchtest.NewMemory()
	for i := range 250 {
		s.Files = append(s.Files, &fetchtest.File{Name: fmt.Sprintf("%03d.csv", i), Body: rows[:i], Promise: onlySize})
	}
	f := newMemoryFetcher(t, s)
	receipt := mustFetch(t, f)
	if n := len(receipt.Doubts); n != 101 || !strings.Contains(receipt.Doubts[100], "250 objects") {
		t.Errorf("%d doubts, the last %q", n, receipt.Doubts[n-1])
	}
}

func TestRecordsAreCountedOverAllObjects(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", []byte("a\n1\n2\n")), fetchtest.NewFile("b.jsonl.zst", encode(t, "zstd", []byte("{}\n{}\n"))))
	f := newMemoryFetcher(t, s)
	if receipt := mustFetch(t, f); receipt.Records != 5 {
		t.Errorf("%d records, want 5", receipt.Records)
	}
	s.Files[1].Body = []byte("-- SQL\n")
	s.Files[1].Name = "b.sql"
	f = newMemoryFetcher(t, s)
	if receipt := mustFetch(t, f); receipt.Records != verify.Unknown {
		t.Errorf("%d records, want none counted", receipt.Records)
	}
}
