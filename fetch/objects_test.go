package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
)

func TestSeveralObjectsHaveTheNamesOfTheirKeys(t *testing.T) {
	one, two := rows[:100], rows[100:300]
	for _, snapshot := range []bool{true, false} {
		s := newShelf(
			object("b+c d.zip", zipOf(t, 8, file{"x.csv", one}, file{"d/y.csv", two})),
			object("tables.tar.gz", encode(t, "gzip", tarOf(t, file{"x.csv", two}))),
			object("日志/é 1.csv.zst", encode(t, "zstd", one)),
			object("100%.csv", two),
			object(`back\slash`, one),
			object("a//b.CSV.GZ", encode(t, "gzip", one)),
			object("deep/er/c.csv", nil),
		)
		s.snapshot = snapshot
		f := shelved(t, s)
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

func TestObjectsOfOneNameKeepTheSuffixOfTheirCodec(t *testing.T) {
	gz, zst := encode(t, "gzip", rows[:200]), encode(t, "zstd", rows[:300])
	s := newShelf(
		object("a.csv", rows[:100]), object("a.csv.gz", gz), object("a.csv.zst", zst), object("b.csv.gz", gz),
		object("t.tar", tarOf(t, file{"x", rows[:10]})), object("t.tar.gz", encode(t, "gzip", tarOf(t, file{"x", rows[:20]}))),
		&item{name: "c", body: rows[:40], content: "csv"}, object("c.csv", rows[:50]),
	)
	f := shelved(t, s)
	mustFetch(t, f)
	checkFiles(t, f, map[string]string{
		"a.csv": string(rows[:100]), "a.csv.gz": string(rows[:200]), "a.csv.zst": string(rows[:300]), "b.csv": string(rows[:200]),
		"t.tar/x": string(rows[:10]), "t.tar.gz/x": string(rows[:20]), "c": string(rows[:40]), "c.csv": string(rows[:50]),
	})
}

// Which of the two would be first is chance, so neither may.
func TestKeysThatCannotLieBesideEachOtherAreRefused(t *testing.T) {
	for _, tt := range [][]string{
		{"a", "a/b"}, {"a/b", "a"}, {"a.gz", "a/b/c"}, {"x/y.csv", "x/y.csv/z", "z"}, {"a%.csv", "a_25.csv"}, {"a.csv", "a.csv.gz", "a.csv.gz.gz"},
	} {
		for _, snapshot := range []bool{true, false} {
			s := newShelf()
			s.snapshot = snapshot
			for _, name := range tt {
				codec := map[bool]string{true: "gzip"}[strings.HasSuffix(name, ".gz")]
				s.items = append(s.items, object(name, encode(t, codec, rows[:100])))
			}
			f := shelved(t, s)
			_, err := fetchShelf(t, f)
			if !errors.Is(err, fetch.ErrUnsafeName) {
				t.Errorf("%q: %v", tt, err)
			}
			checkAbsent(t, f, shelfKey)
			if !snapshot {
				continue
			}
			for _, i := range s.items {
				if n, _ := i.counts(); n > 0 {
					t.Errorf("%q: %s was asked for", tt, i.name)
				}
			}
			for _, name := range tt[:2] {
				if !strings.Contains(err.Error(), fmt.Sprintf("%q", name)) && len(tt) == 2 {
					t.Errorf("%q: %v does not name both", tt, err)
				}
			}
		}
	}
}

// fiveObjects are of three parts and more each.
func fiveObjects() []*item {
	var items []*item
	for i := range 5 {
		items = append(items, object(fmt.Sprintf("%d.csv", i), rows[:2500+300*i]))
	}
	return items
}

func TestObjectThatFailsEndsTheAttemptAndCostsTheOthersNothing(t *testing.T) {
	refused := errors.New("refused by a test")
	for _, why := range []error{fetch.ErrRefused, fetch.ErrNotFound, fetch.ErrAuth, refused} {
		s := newShelf(fiveObjects()...)
		started, others := make(chan struct{}), make(chan struct{})
		s.items[1].hinder = func(ctx context.Context, off int64) error { // has a part, and then nothing comes
			if off == 0 {
				return nil
			}
			if off == 1000 {
				close(started)
			}
			return until(ctx, off)
		}
		s.items[2].hinder = func(context.Context, int64) error { <-started; <-others; return why }
		f := shelved(t, s)
		f.Parallel, f.IdleTimeout = 8, time.Hour
		left := len(s.items[0].body) + len(s.items[3].body) + len(s.items[4].body)
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
		if _, err := fetchShelf(t, f); !errors.Is(err, why) {
			t.Errorf("%v, want %v", err, why)
		}
		checkAbsent(t, f, shelfKey)
		s.items[1].hinder, s.items[2].hinder, f.Progress = nil, nil, nil
		want := map[string]string{}
		_, before := s.items[1].counts()
		receipt := mustFetch(t, f)
		for _, i := range s.items {
			want[i.name] = string(i.body)
			if _, sent := i.counts(); sent != len(i.body) && i != s.items[1] {
				t.Errorf("%d bytes of %s were sent, want its %d", sent, i.name, len(i.body))
			}
		}
		if _, sent := s.items[1].counts(); sent-before > len(s.items[1].body)-1000 {
			t.Errorf("a part that was here was sent again: %d bytes and %d", before, sent-before)
		}
		checkFiles(t, f, want)
		if len(receipt.Objects) != 5 {
			t.Errorf("%d objects", len(receipt.Objects))
		}
	}
}

func TestMismatchOfOneObjectEmptiesNoOther(t *testing.T) {
	s := newShelf(fiveObjects()[:2]...)
	halted := make(chan struct{})
	s.items[0].bend = flipped(1500)
	s.items[0].hinder = func(context.Context, int64) error { <-halted; return nil }
	s.items[1].hinder = func(ctx context.Context, off int64) error {
		if off < 2000 {
			return nil
		}
		close(halted)
		return until(ctx, off)
	}
	f := shelved(t, s)
	f.IdleTimeout = time.Hour
	if _, err := fetchShelf(t, f); !isMismatch(err) {
		t.Fatalf("%v, want a mismatch", err)
	}
	for _, i := range s.items {
		i.bend, i.hinder, i.sent = nil, nil, 0
	}
	mustFetch(t, f)
	if _, sent := s.items[0].counts(); sent != len(s.items[0].body) {
		t.Errorf("%d bytes of the one that was wrong were sent again", sent)
	}
	if _, sent := s.items[1].counts(); sent > len(s.items[1].body)-1000 {
		t.Errorf("%d bytes of the other one were sent again", sent)
	}
}

func TestObjectsShareTheRequestsInFlight(t *testing.T) {
	for _, parallel := range []int{1, 3, 8} {
		s := newShelf(fiveObjects()...)
		for _, i := range s.items {
			i.hinder = func(context.Context, int64) error { time.Sleep(2 * time.Millisecond); return nil }
		}
		f := shelved(t, s)
		f.Parallel, f.PartSize = parallel, 300
		mustFetch(t, f)
		if s.most != parallel {
			t.Errorf("%d requests were in flight, want %d", s.most, parallel)
		}
	}
}

func TestObjectsInTurnNeverWaitForEachOther(t *testing.T) {
	s := newShelf(fiveObjects()...)
	f := shelved(t, s)
	f.Parallel, f.PartSize = 1, 7
	mustFetch(t, f)
}

func TestCancellationEndsAllObjects(t *testing.T) {
	s := newShelf(fiveObjects()...)
	for _, i := range s.items {
		i.hinder = until
	}
	f := shelved(t, s)
	f.IdleTimeout = time.Hour
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(20*time.Millisecond, func() { cancel(errStopped) })
	if _, err := f.Fetch(ctx, parseRef(t, shelfRef)); !errors.Is(err, errStopped) {
		t.Errorf("%v, want the cause", err)
	}
	checkAbsent(t, f, shelfKey)
	for _, i := range s.items {
		i.hinder = nil
	}
	mustFetch(t, f)
}

func TestCancellationBetweenObjectsLandsNoneOfThem(t *testing.T) {
	s := newShelf(fiveObjects()...)
	ctx, cancel := context.WithCancelCause(context.Background())
	s.items[4].hinder = func(context.Context, int64) error { cancel(errStopped); return nil }
	f := shelved(t, s)
	f.Parallel = 1
	if _, err := f.Fetch(ctx, parseRef(t, shelfRef)); !errors.Is(err, errStopped) {
		t.Errorf("%v, want the cause", err)
	}
	checkAbsent(t, f, shelfKey)
}

func TestEachObjectWithoutProofIsADoubtUpToAPoint(t *testing.T) {
	s := newShelf()
	for i := range 250 {
		s.items = append(s.items, &item{name: fmt.Sprintf("%03d.csv", i), body: rows[:i], want: sizeAlone})
	}
	f := shelved(t, s)
	receipt := mustFetch(t, f)
	if n := len(receipt.Doubts); n != 101 || !strings.Contains(receipt.Doubts[100], "250 objects") {
		t.Errorf("%d doubts, the last %q", n, receipt.Doubts[n-1])
	}
}

func TestRecordsAreThoseOfAllObjects(t *testing.T) {
	s := newShelf(object("a.csv", []byte("a\n1\n2\n")), object("b.jsonl.zst", encode(t, "zstd", []byte("{}\n{}\n"))))
	f := shelved(t, s)
	if receipt := mustFetch(t, f); receipt.Records != 5 {
		t.Errorf("%d records, want 5", receipt.Records)
	}
	s.items[1].body = []byte("-- SQL\n")
	s.items[1].name = "b.sql"
	f = shelved(t, s)
	if receipt := mustFetch(t, f); receipt.Records != verify.Unknown {
		t.Errorf("%d records, want none counted", receipt.Records)
	}
}
