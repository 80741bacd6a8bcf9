package fetch_test

import (
	"bytes"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
	"tallyman/verify/archive"
)

func TestKeepChoosesTheFilesOfTheBag(t *testing.T) {
	zst, gz, packed := encode(t, "zstd", rows), encode(t, "gzip", rows), encode(t, "gzip", tarOf(t, twoFiles...))
	zip, tar := zipOf(t, 8, twoFiles...), tarOf(t, twoFiles...)
	a, b := string(twoFiles[0].body), string(twoFiles[1].body)
	plain := string(rows)
	for _, tt := range []struct {
		name    string
		body    []byte
		content string // declared
		wire    map[string]string
		both    map[string]string
	}{
		{"x/a.csv.zst", zst, "", map[string]string{"x/a.csv.zst": string(zst)}, map[string]string{"x/a.csv.zst": string(zst), "x/a.csv": plain}},
		{"a.GZIP", gz, "csv", map[string]string{"a.csv.GZIP": string(gz)}, map[string]string{"a.csv.GZIP": string(gz), "a.csv": plain}},
		{"a.csv", rows, "", map[string]string{"a.csv": plain}, map[string]string{"a.csv": plain}},
		{"a.csv.gz", rows, "", map[string]string{"a.csv.gz": plain}, map[string]string{"a.csv": plain}}, // not gzip, though its name says so
		{"a.csv", zst, "", map[string]string{"a.csv.zst": string(zst)}, map[string]string{"a.csv.zst": string(zst), "a.csv": plain}},
		{"a.csv", nil, "", map[string]string{"a.csv": ""}, map[string]string{"a.csv": ""}},
		{"t.zip", zip, "", map[string]string{"t.zip": string(zip)}, map[string]string{"t.zip.wire": string(zip), "t.zip/a.csv": a, "t.zip/d/b.jsonl": b}},
		{"t.tar", tar, "", map[string]string{"t.tar": string(tar)}, map[string]string{"t.tar.wire": string(tar), "t.tar/a.csv": a, "t.tar/d/b.jsonl": b}},
		{"t.tar.gz", packed, "", map[string]string{"t.tar.gz": string(packed)}, map[string]string{"t.tar.gz": string(packed), "t.tar/a.csv": a, "t.tar/d/b.jsonl": b}},
	} {
		for _, keep := range []fetch.Keep{fetch.KeepWire, fetch.KeepBoth} {
			f := newMemoryFetcher(t, fetchtest.NewMemory(&fetchtest.File{Name: tt.name, Body: tt.body, Content: tt.content}, fetchtest.NewFile("other.sql", []byte("--\n"))))
			f.Keep = keep
			receipt := mustFetch(t, f)
			want := maps.Clone(map[fetch.Keep]map[string]string{fetch.KeepWire: tt.wire, fetch.KeepBoth: tt.both}[keep])
			want["other.sql"] = "--\n"
			t.Log(keep, tt.name)
			checkFiles(t, f, want)
			checkSums(t, f)
			if receipt.Files != len(want) || receipt.Bytes != int64(len(concat(want))) {
				t.Errorf("%d files of %d bytes, want %d of %d", receipt.Files, receipt.Bytes, len(want), len(concat(want)))
			}
		}
	}
}

func concat(files map[string]string) (all string) {
	for _, body := range files {
		all += body
	}
	return all
}

// checkSums checks the manifests of the bag with the program sha256sum.
func checkSums(t *testing.T, f *fetch.Fetcher) {
	t.Helper()
	cmd := exec.Command("sha256sum", "--quiet", "-c", "manifest-sha256.txt", "tagmanifest-sha256.txt")
	cmd.Dir = f.Archive.Path(exportKey)
	if out, err := cmd.CombinedOutput(); err != nil && !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("%v: %s", err, out)
	}
}

func TestRecordsAreCountedWhateverIsKept(t *testing.T) {
	count := csvRecords
	for _, tt := range []struct {
		name string
		body []byte
		rows int64
	}{
		{"a.csv.zst", encode(t, "zstd", rows), count(rows)},
		{"a.csv", rows, count(rows)},
		{"a.zip", zipOf(t, 8, twoFiles...), count(twoFiles[0].body) + 3},
		{"a.tar.gz", encode(t, "gzip", tarOf(t, twoFiles...)), count(twoFiles[0].body) + 3},
	} {
		for _, keep := range []fetch.Keep{"", fetch.KeepContent, fetch.KeepWire, fetch.KeepBoth} {
			s := fetchtest.NewMemory(fetchtest.NewFile(tt.name, tt.body))
			s.Records = tt.rows
			f := newMemoryFetcher(t, s)
			f.Keep = keep
			receipt := mustFetch(t, f)
			if receipt.Records != tt.rows || len(receipt.Doubts) > 0 || len(receipt.Checks) != 1 || receipt.Checks[0].Verdict != verify.Held {
				t.Errorf("%s, %q kept: %d records of %d, checks %+v, doubts %q", tt.name, keep, receipt.Records, tt.rows, receipt.Checks, receipt.Doubts)
			}
			wire := slices.ContainsFunc(receipt.Objects[0].Files, func(f archive.File) bool { return f.Wire })
			if want := keep == fetch.KeepWire || keep == fetch.KeepBoth && tt.name != "a.csv"; wire != want {
				t.Errorf("%s, %q kept: files %+v", tt.name, keep, receipt.Objects[0].Files)
			}
			s.Records++
			f = newMemoryFetcher(t, s)
			f.Keep = keep
			if receipt := mustFetch(t, f); keep != "" && len(receipt.Doubts) != 1 && receipt.Checks[0].Verdict != verify.Held {
				t.Errorf("%s, %q kept: a record is missing, and no doubt", tt.name, keep)
			}
		}
	}
}

func csvRecords(b []byte) int64 {
	c := verify.NewCounter("csv", "")
	c.Write(b)
	return c.Count().Rows
}

func TestACorruptObjectIsNeverKept(t *testing.T) {
	bad := encode(t, "gzip", rows)
	bad[len(bad)-5] ^= 1
	for _, keep := range []fetch.Keep{fetch.KeepWire, fetch.KeepBoth} {
		f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile("a.csv.gz", bad)))
		f.Keep = keep
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrCorrupt) {
			t.Errorf("%v, want %v", err, fetch.ErrCorrupt)
		}
		checkAbsent(t, f, exportKey)
	}
}

// The names differ, but are one once they are made valid names of files.
func TestWiresWhoseNamesCollideAreRefused(t *testing.T) {
	for _, keep := range []fetch.Keep{fetch.KeepWire, fetch.KeepBoth} {
		s := fetchtest.NewMemory(fetchtest.NewFile("a%.csv.zst", encode(t, "zstd", rows)), fetchtest.NewFile("a_25.csv.zst", encode(t, "zstd", rows[:50])))
		s.Snapshot = false
		f := newMemoryFetcher(t, s)
		f.Keep = keep
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrUnsafeName) {
			t.Errorf("%v, want %v", err, fetch.ErrUnsafeName)
		}
		checkAbsent(t, f, exportKey)
	}
}

func TestAKeptWireIsResumed(t *testing.T) {
	body := encode(t, "zstd", csv(3000))
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv.zst", body), fetchtest.NewFile("b.csv.zst", body))
	f := newMemoryFetcher(t, s)
	f.Keep = fetch.KeepWire
	fetchUpTo(t, f, s, "b.csv.zst")
	_, before := s.Files[0].Counts()
	mustFetch(t, f)
	checkFiles(t, f, map[string]string{"a.csv.zst": string(body), "b.csv.zst": string(body)})
	if _, sent := s.Files[0].Counts(); sent != before || !bytes.Equal(s.Files[0].Body, body) {
		t.Errorf("%d bytes of a.csv.zst were sent, and then %d", before, sent-before)
	}
}
