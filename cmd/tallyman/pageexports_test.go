package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"tallyman/verify/archive/ledger"
)

// The lists have what they are asked for, say how much that is, and tell what of a query is
// not to be understood.
func TestTheListsOfThePage(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	h := newWatching(t, a, store, false).handler(a, "127.0.0.1:8410", "")
	for _, tt := range []struct {
		query       string
		code        int
		has, hasNot []string
	}{
		{"", 200, []string{"5 exports", watchedPlace + "good", "landed, with doubts", "count-mismatch: 9 records", "failed: job-failed", "it&#39;s &lt;b&gt;broken", "waiting", "unknown"}, []string{"Older</a>", "Newer</a>"}},
		{"state=doubts", 200, []string{"1 export<", "doubted"}, []string{"bad1"}},
		{"state=failed&cause=job-failed&open=1", 200, []string{"2 exports", "bad1", "bad2", `value="failed" selected`}, []string{"good"}},
		{"state=damaged,absent", 200, []string{"0 exports"}, []string{"good"}},
		{"place=" + watchedPlace, 200, []string{"5 exports"}, nil},
		{"place=sls://cn-hangzhou/nowhere/", 200, []string{"0 exports"}, nil},
		{"text=BAD", 200, []string{"2 exports", "bad1"}, []string{"good"}},
		{"text=" + watchedPlace + "bad1", 200, []string{"1 export<"}, []string{"bad2"}},
		{"text=" + watchedPlace + "bad", 200, []string{"2 exports"}, []string{"good"}},
		{"since=1h", 200, []string{"5 exports"}, nil},
		{"since=whenever", 400, []string{"since: must be a time like", `value="whenever"`, watchedPlace}, []string{"good"}},
		{"state=great", 400, []string{"state: must be landed"}, nil},
		{"older=x", 400, []string{"no list goes on from"}, nil},
		{"text=https://example.com/f%3Fsig=canary", 200, []string{"0 exports"}, []string{"canary"}},
	} {
		w := get(t, h, "/exports?"+tt.query, nil)
		for _, has := range tt.has {
			if !strings.Contains(w.Body.String(), has) {
				t.Errorf("%s: lacks %s: %s", tt.query, has, w.Body)
			}
		}
		_, rows, _ := strings.Cut(w.Body.String(), "</form>")
		for _, not := range tt.hasNot {
			if strings.Contains(rows, not) {
				t.Errorf("%s: has %s: %s", tt.query, not, w.Body)
			}
		}
		if w.Code != tt.code {
			t.Errorf("%s: %d, want %d", tt.query, w.Code, tt.code)
		}
	}
	for _, list := range []string{"/exports?place=sls", "state=failed", "state=landed"} { // to which the first view leads
		if w := get(t, h, "/", nil); !strings.Contains(w.Body.String(), list) {
			t.Errorf("nothing leads to %s: %s", list, w.Body)
		}
	}
}

// Whoever follows the links sees each export once, to the end and back.
func TestAListIsFollowedToItsEndAndBack(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	var lines []ledger.Line
	for i := range 2*listLimit + 7 {
		lines = append(lines, watchedLine(ledger.Landed, fmt.Sprintf("many-%03d", i), nil))
	}
	if err := store.Ledger().Append(lines...); err != nil {
		t.Fatal(err)
	}
	h := newWatching(t, a, store, false).handler(a, "127.0.0.1:8410", "")
	row, link := regexp.MustCompile(`<th scope="row"><a href="/export\?ref=[^"]*">([^<]*)`), regexp.MustCompile(`<a href="([^"]*)"[^>]* rel="(next|prev)"`)
	follow := func(path, rel string) (seen []string, last string) {
		for range 10 {
			body := get(t, h, path, nil).Body.String()
			for _, found := range row.FindAllStringSubmatch(body, -1) {
				seen = append(seen, found[1])
			}
			last, path = path, ""
			for _, found := range link.FindAllStringSubmatch(body, -1) {
				if found[2] == rel {
					path = strings.ReplaceAll(found[1], "&amp;", "&")
				}
			}
			if path == "" {
				return seen, last
			}
		}
		t.Fatal("the list does not end")
		return nil, ""
	}
	first := get(t, h, "/exports?text=many-&state=landed", nil).Body.String()
	if !strings.Contains(first, fmt.Sprintf("more than %d exports", listLimit)) {
		t.Errorf("%s", first)
	}
	seen, end := follow("/exports?text=many-&state=landed", "next")
	back, _ := follow(end, "prev")
	distinct := map[string]bool{}
	for _, ref := range seen {
		distinct[ref] = true
	}
	if len(seen) != len(lines) || len(distinct) != len(lines) || len(back) != len(lines) {
		t.Errorf("%d seen, %d of them once, %d on the way back; want %d", len(seen), len(distinct), len(back), len(lines))
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, text := range []string{"", "1.k", "-5.sls/a/b.c", "x.k", "9223372036854775807.a", "1."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePosition(text)
		if again, err2 := parsePosition(formatPosition(p)); err == nil && (err2 != nil || again != p) {
			t.Errorf("%q: %v, again %v, %v", text, p, again, err2)
		}
	})
}
