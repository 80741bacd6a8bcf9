package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/ledger"
)

// What ends is fetched in the order in which it ends, each as long after the one before as
// those took that have landed in the same places since the first was known to be there. What
// is not there by then is told beforehand, of its place.
func TestWhatWontLandInTimeIsToldBeforehand(t *testing.T) {
	t.Parallel()
	store, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Truncate(time.Second)
	write := func(kind ledger.Kind, name string, at, ends time.Duration) {
		l := ledger.Line{Kind: kind, At: now.Add(at), Ref: "dbs://cn-hangzhou/" + name, Key: "dbs/cn-hangzhou/" + name}
		if ends != 0 {
			l.Ends = now.Add(ends)
		}
		if err := store.Ledger().Append(l); err != nil {
			t.Fatal(err)
		}
	}
	const h = time.Hour
	write(ledger.Asked, "rm-1/unknown", -9*h, 0)
	for _, e := range []struct {
		name string
		ends time.Duration
	}{{"rm-1/c", 150 * time.Minute}, {"rm-1/a", h / 2}, {"rm-1/b", 3 * h}, {"rm-2/d", 3*h + time.Minute}} {
		write(ledger.Asked, e.name, -5*h, 0)
		write(ledger.Ready, e.name, -4*h, e.ends)
	}
	for _, l := range []struct {
		name string
		at   time.Duration
	}{{"rm-1/w", -5 * h}, {"rm-1/x", -3 * h}, {"rm-1/y", -2 * h}, {"rm-2/z", -h}, {"rm-9/other", -h}} {
		write(ledger.Landed, l.name, l.at, 0)
	}
	cached, err := catalog.Open(t.Context(), store, catalog.Options{Dir: t.TempDir(), PlaceOf: placeOf})
	if err != nil {
		t.Fatal(err)
	}
	defer cached.Close()
	endings, err := endingsOf(cached, now)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for key, e := range endings {
		got[key] = e.lands.Sub(now).String()
		if e.isLate() {
			got[key] += " late"
		}
	}
	want := map[string]string{"dbs/cn-hangzhou/rm-1/a": "1h0m0s late", "dbs/cn-hangzhou/rm-1/c": "2h0m0s", "dbs/cn-hangzhou/rm-1/b": "3h0m0s", "dbs/cn-hangzhou/rm-2/d": "4h0m0s late"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	c := &statusCommand{app: newApp(), catalog: cached, endings: endings, overview: overview{}}
	c.overview.of("dbs://cn-hangzhou/rm-1/").Waiting = 4
	c.addEndings()
	line := c.overview["dbs://cn-hangzhou/rm-1/"]
	if c.overview["dbs://cn-hangzhou/rm-2/"] != nil || line.Ending != 1 || !line.FirstEnd.Equal(now.Add(h/2)) {
		t.Errorf("%+v", line)
	}
	var text bytes.Buffer
	line.printEnding(&text, now)
	told := "    at the present rate 1 won't land before they are gone at their source: the first is there until " + now.Add(h/2).Format("2006-01-02 15:04") + "\n    tallyman worker --parallel N   # more at once, or more workers\n"
	if diff := cmp.Diff(told, text.String()); diff != "" {
		t.Error(diff)
	}
}

// Where nobody waits, and of what has just become known, nothing is told.
func TestNothingIsToldOfARateThatNobodyKnows(t *testing.T) {
	t.Parallel()
	store, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	open := func() *catalog.Catalog {
		c, err := catalog.Open(t.Context(), store, catalog.Options{PlaceOf: placeOf})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	now := time.Now()
	if endings, err := endingsOf(open(), now); err != nil || len(endings) > 0 {
		t.Errorf("%v, %v", endings, err)
	}
	for _, name := range []string{"a", "b", "c"} {
		l := ledger.Line{Kind: ledger.Asked, At: now, Ref: "https://h/" + name, Key: "https/h/" + name, Ends: now.Add(time.Hour)}
		if err := store.Ledger().Append(l); err != nil {
			t.Fatal(err)
		}
	}
	endings, err := endingsOf(open(), now.Add(time.Second))
	if err != nil || len(endings) != 3 {
		t.Fatalf("%v, %v", endings, err)
	}
	for key, e := range endings {
		if e.isLate() {
			t.Errorf("%s: %+v", key, e)
		}
	}
}
