package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
)

func TestEachCodecLands(t *testing.T) {
	want := csv(20000)
	for _, codec := range []string{"zstd", "gzip", "lz4", "plain"} {
		t.Run(codec, func(t *testing.T) {
			s := serve(t, encode(t, codec, want))
			f, _ := newFetcher(t, t.TempDir())
			suffix := map[string]string{"zstd": ".zst", "gzip": ".gzip", "lz4": ".lz4"}[codec]
			ref := s.ref(t, "export.csv"+suffix, "#records=20207")
			receipt, err := f.Fetch(context.Background(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if len(receipt.Doubts) > 0 || receipt.Objects[0].Files[0].Path != "export.csv" {
				t.Errorf("doubts: %q, files: %+v", receipt.Doubts, receipt.Objects[0].Files)
			}
			checkLanded(t, f, ref.Key(), want)
			before := s.count.Load()
			if _, err := f.Fetch(context.Background(), ref); err != nil || s.count.Load() != before {
				t.Errorf("what had landed was asked for again (%v)", err)
			}
		})
	}
}

func TestNamesAndDeclarationsOfACodecAreIgnored(t *testing.T) {
	if testing.Short() {
		t.Skip("one export after another")
	}
	for _, codec := range []string{"zstd", "gzip", "lz4", "plain"} {
		for _, name := range []string{"export.csv", "export.csv.zst", "export.csv.gz", "export.csv.lz4"} {
			s := serve(t, encode(t, codec, rows))
			s.header.Set("Content-Type", "application/gzip")
			f, _ := newFetcher(t, t.TempDir())
			ref := s.ref(t, name, "")
			if _, err := f.Fetch(context.Background(), ref); err != nil {
				t.Errorf("%s as %s: %v", codec, name, err)
				continue
			}
			checkLanded(t, f, ref.Key(), rows)
		}
	}
}

// The transfer is checked to its end before the content is judged.
func TestACorruptFileAndABrokenTransferHaveDifferentErrors(t *testing.T) {
	for _, codec := range []string{"zstd", "gzip", "lz4"} {
		good := encode(t, codec, rows)
		bad := slices.Clone(good)
		bad[len(bad)-6] ^= 1
		for _, tt := range []struct {
			name    string
			body    []byte // as the store has it
			respond responder
			check   func(error) bool
		}{
			{"corrupt at the source", bad, nil, func(err error) bool { return errors.Is(err, fetch.ErrCorrupt) }},
			{"cut at the source", good[:len(good)-9], nil, func(err error) bool { return errors.Is(err, fetch.ErrCorrupt) }},
			{"trailing zeros at the source", append(slices.Clone(good), make([]byte, 512)...), nil, func(err error) bool { return errors.Is(err, fetch.ErrCorrupt) }},
			{"corrupt on the way", good, chunked(func(*store) []byte { return bad }), isMismatch},
			{"cut on the way", good, chunked(shorterBody), isMismatch},
		} {
			s := serve(t, tt.body)
			s.respond = tt.respond
			f, _ := newFetcher(t, t.TempDir())
			ref := s.ref(t, "export.csv", "")
			_, err := f.Fetch(context.Background(), ref)
			if !tt.check(err) || isMismatch(err) && errors.Is(err, fetch.ErrCorrupt) {
				t.Errorf("%s %s: %v", codec, tt.name, err)
			}
			checkAbsent(t, f, ref.Key())
		}
	}
}

func isMismatch(err error) bool {
	_, ok := errors.AsType[*verify.Mismatch](err)
	return ok
}

func TestAFileCutBetweenFramesBreaksThePromisedSize(t *testing.T) {
	for _, codec := range []string{"zstd", "gzip", "lz4"} {
		half := encode(t, codec, rows)
		whole := slices.Concat(half, encode(t, codec, rows))
		s := serve(t, half)
		f, _ := newFetcher(t, t.TempDir())
		ref := s.ref(t, "export.csv", fmt.Sprintf("#size=%d", len(whole)))
		if _, err := f.Fetch(context.Background(), ref); !isMismatch(err) {
			t.Errorf("%s: %v, want a mismatch", codec, err)
		}
		checkAbsent(t, f, ref.Key())
		ref = s.ref(t, "export.csv", fmt.Sprintf("#size=%d", len(half)))
		if _, err := f.Fetch(context.Background(), ref); err != nil {
			t.Errorf("%s: it is all that was promised, but %v", codec, err)
		}
	}
}

func TestARefusedConnectionIsATemporaryFailure(t *testing.T) {
	s := serve(t, rows)
	ref := s.ref(t, "export.csv", "")
	s.Close()
	f, _ := newFetcher(t, t.TempDir())
	if _, err := f.Fetch(context.Background(), ref); !errors.Is(err, fetch.ErrTemporary) {
		t.Errorf("%v, want a temporary failure", err)
	}
	checkAbsent(t, f, ref.Key())
}

func TestAnObjectReplacedBetweenAttemptsStartsOver(t *testing.T) {
	s := serve(t, rows)
	s.respond = after(2, refuse(500, ""))
	f, _ := newFetcher(t, t.TempDir())
	f.PartSize, f.Parallel = 1000, 1
	ref := s.ref(t, "export.csv", "")
	if _, err := f.Fetch(context.Background(), ref); !errors.Is(err, fetch.ErrTemporary) {
		t.Fatal(err)
	}
	s.body = bytes.ToUpper(rows)
	s.restore()
	if _, err := f.Fetch(context.Background(), ref); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("%v, want %v", err, fetch.ErrChanged)
	}
	checkAbsent(t, f, ref.Key())
	before := s.sent.Load()
	if _, err := f.Fetch(context.Background(), ref); err != nil {
		t.Fatal(err)
	}
	if n := s.sent.Load() - before; n != int64(len(s.body)) {
		t.Errorf("%d bytes were sent of the new object, want all %d", n, len(s.body))
	}
	checkLanded(t, f, ref.Key(), s.body)
}

// WithReceived's function is called once an export is verified, before it has landed,
// and not for one that fails.
func TestReceivedIsCalledBetweenTheVerdictAndTheCommit(t *testing.T) {
	s := serve(t, rows)
	f, _ := newFetcher(t, t.TempDir())
	for promise, want := range map[string]int{"": 1, "#md5=00000000000000000000000000000000": 0} {
		ref, calls := s.ref(t, fmt.Sprint("export", want, ".csv"), promise), 0
		ctx := fetch.WithReceived(t.Context(), func() {
			calls++
			if _, err := f.Archive.Landed(ref.Key()); err == nil {
				t.Error("it has landed already")
			}
		})
		if _, err := f.Fetch(ctx, ref); (err == nil) != (want == 1) || calls != want {
			t.Errorf("%s: %d calls, %v", ref, calls, err)
		}
	}
}
