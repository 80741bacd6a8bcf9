package fetch_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
)

// byToken answers with the body for the token of the query, in small or in capital
// letters, and refuses the token "gone".
func byToken(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
	other := &store{body: s.body}
	switch r.URL.Query().Get("token") {
	case "gone":
		return refuse(403, xmlError("AccessDenied", "denied"))(s, w, r, n)
	case "capitals":
		other.body = []byte(strings.ToUpper(string(s.body)))
	}
	other.restore()
	set(w.Header(), "ETag", etagOf(other.body), "X-Oss-Hash-Crc64ecma", crcOf(other.body))
	if r.URL.Query().Get("bare") != "" {
		set(w.Header(), "ETag", "", "X-Oss-Hash-Crc64ecma", "")
	}
	other.serve(w, r)
	return true
}

// What a query hides may name another file, so what landed for another query is
// compared: by what the reference promises, or by what the store says now.
func TestWhatLandedForAnotherQueryIsComparedFirst(t *testing.T) {
	capitals := strings.ToUpper(string(rows))
	for name, tt := range map[string]struct {
		landed, now string
		differs     bool
		doubt       string
		requests    int64
	}{
		"the same query":                       {landed: "?token=small", now: "?token=small"},
		"signed anew":                          {landed: "?token=small", now: "?token=small&Expires=7", requests: 1},
		"another file":                         {landed: "?token=small", now: "?token=capitals", differs: true, requests: 1},
		"another file, and no ETag":            {landed: "?token=small&bare=1", now: "?token=capitals&bare=1", differs: true, requests: 1},
		"the same file, and no ETag":           {landed: "?token=small&bare=1", now: "?token=small&bare=1&sign=7", requests: 1},
		"a query where there was none":         {now: "?token=capitals", differs: true, requests: 1},
		"no query where there was one":         {landed: "?token=capitals", differs: true, requests: 1},
		"refused":                              {landed: "?token=small", now: "?token=gone", doubt: "not compared: ", requests: 1},
		"refused, and its MD5 is promised":     {landed: "?token=small", now: "?token=gone#md5=" + md5Of(rows)},
		"refused, and another MD5 is promised": {landed: "?token=small", now: "?token=gone#md5=" + md5Of([]byte(capitals)), differs: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, rows)
			s.respond = byToken
			f, _ := newFetcher(t, t.TempDir())
			if _, err := f.Fetch(t.Context(), s.ref(t, "export.csv", tt.landed)); err != nil {
				t.Fatal(err)
			}
			before := s.count.Load()
			receipt, err := f.Fetch(t.Context(), s.ref(t, "export.csv", tt.now))
			other, differs := errors.AsType[*fetch.OtherFileError](err)
			if differs != tt.differs || !differs && err != nil {
				t.Fatalf("%v, want another file: %t", err, tt.differs)
			}
			if differs {
				if _, ok := errors.AsType[*verify.Mismatch](other); !ok || !errors.Is(err, fetch.ErrReceiptMismatch) {
					t.Errorf("%v is no mismatch with what landed", err)
				}
			} else if got := strings.Join(receipt.Doubts, "; "); !strings.HasPrefix(got, tt.doubt) || (got == "") != (tt.doubt == "") && !strings.HasPrefix(got, "unproven") {
				t.Errorf("doubts: %q, want %q", got, tt.doubt)
			}
			if n := s.count.Load() - before; n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

// A file that was fetched once more, beside the one of another query, is found there
// without a request.
func TestWhatLandedBesideIsFoundByItsQuery(t *testing.T) {
	s := serve(t, rows)
	s.respond = byToken
	f, _ := newFetcher(t, t.TempDir())
	small, capitals := s.ref(t, "export.csv", "?token=small"), s.ref(t, "export.csv", "?token=capitals")
	if _, err := f.Fetch(t.Context(), small); err != nil {
		t.Fatal(err)
	}
	beside, err := f.Fetch(t.Context(), capitals.WithRevision(time.Unix(1764568800, 0)))
	if err != nil {
		t.Fatal(err)
	}
	for now, requests := range map[string]int64{"?token=capitals": 0, "?token=capitals&Expires=7": 1} {
		before := s.count.Load()
		receipt, err := f.Landed(t.Context(), s.ref(t, "export.csv", now))
		if err != nil || receipt.Key != beside.Key || s.count.Load()-before != requests {
			t.Errorf("%s: %v, in %d requests", now, err, s.count.Load()-before)
		}
	}
	if receipt, err := f.Landed(t.Context(), small); err != nil || receipt.Key != small.Key() {
		t.Errorf("what landed first: %v", err)
	}
}

// What was received for one query is taken up for another one only if the store
// says that both name the same version.
func TestPartsOfAnotherQueryAreNeverJoined(t *testing.T) {
	for _, tt := range []struct {
		cut, now string
		resumes  bool
	}{
		{"?token=small", "?token=small", true},
		{"?token=small&bare=1", "?token=small&bare=1", true},
		{"?token=small", "?token=small&Expires=7", true},
		{"?token=small&bare=1", "?token=small&bare=1&Expires=7", false},
		{"?token=small", "?token=capitals", false},
		{"?token=small&bare=1", "?token=capitals&bare=1", false},
		{"?token=small", "?token=capitals&bare=1", false},
		{"?token=small&bare=1", "?token=capitals", false},
		{"", "?token=capitals&bare=1", false},
		{"?token=small&bare=1", "", false},
	} {
		s, dir := serve(t, rows), t.TempDir()
		s.respond = func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
			if n == 3 {
				return refuse(404, "")(s, w, r, n)
			}
			return byToken(s, w, r, n)
		}
		f, _ := newFetcher(t, dir)
		f.Parallel, f.PartSize = 1, int64(len(rows)/8)
		if _, err := f.Fetch(t.Context(), s.ref(t, "export.csv", tt.cut)); !errors.Is(err, fetch.ErrNotFound) {
			t.Fatal(err)
		}
		ref := s.ref(t, "export.csv", tt.now)
		if bytes, _ := f.Archive.Received(ref.Key()); bytes == 0 {
			t.Fatalf("%s: nothing was received", tt.cut)
		}
		restarted, _ := newFetcher(t, dir)
		restarted.PartSize = f.PartSize
		before := s.sent.Load()
		_, err := restarted.Fetch(t.Context(), ref)
		if errors.Is(err, fetch.ErrChanged) { // the next attempt begins anew
			before = s.sent.Load()
			_, err = restarted.Fetch(t.Context(), ref)
		}
		if err != nil {
			t.Errorf("%q, then %q: %v", tt.cut, tt.now, err)
			continue
		}
		want := rows
		if strings.Contains(tt.now, "capitals") {
			want = []byte(strings.ToUpper(string(rows)))
		}
		checkLanded(t, restarted, ref.Key(), want)
		if resumed := s.sent.Load()-before < int64(len(rows)); resumed != tt.resumes {
			t.Errorf("%q, then %q: resumed is %t, want %t", tt.cut, tt.now, resumed, tt.resumes)
		}
	}
}
