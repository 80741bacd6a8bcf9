package fetch_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

func onlyHash(w verify.Want) verify.Want { return verify.Want{Size: w.Size, CRC64: w.CRC64} }

// hasMisnamedDoubt says whether a doubt says that an object is not what its name says.
func hasMisnamedDoubt(doubts []string) bool {
	return slices.ContainsFunc(doubts, func(d string) bool { return strings.HasPrefix(d, "misnamed: ") })
}

// An object that is not encoded though its name says so lands without a doubt only
// if the job says that it is not. It lands with a doubt if its hash is promised and
// its content fits the rest of its name, and otherwise not at all.
func TestAMislabelledObjectLandsWithADoubtOrNotAtAll(t *testing.T) {
	for _, tt := range []struct {
		name, coded, content string
		body                 []byte
		want                 func(verify.Want) verify.Want
		lands                string // "", "doubted", "quietly"
	}{
		{"a.csv.zst", "", "", rows, onlyHash, "doubted"},
		{"a.csv.zst", "zstd", "csv", rows, onlyHash, "doubted"},
		{"a.csv.zst", "", "", rows, onlySize, ""},
		{"a.csv.zst", "none", "", rows, onlyHash, "quietly"},
		{"a.csv.zst", "none", "", rows, onlySize, "quietly"},
		{"a.csv.zst", "none", "", []byte("\x28\xb5\x2f\xfc\x00"), onlyHash, ""},
		{"a.csv.zst", "none", "", nil, onlyHash, "doubted"},
		{"a.csv.zst", "none", "", nil, onlySize, ""},
		{"a.csv.zst", "none", "", encode(t, "zstd", rows), onlyHash, "quietly"},
		{"a.csv.zst", "", "", encode(t, "gzip", rows), onlyHash, "quietly"},
		{"a.csv", "zstd", "", rows, onlyHash, "quietly"},
		{"a.csv", "lz4", "", []byte("\x00\x01raw block"), onlyHash, ""},
		{"a.csv", "", "", encode(t, "lz4", rows), onlyHash, "quietly"},
		{"a.zst", "", "", rows, onlyHash, ""},
		{"a.zst", "", "csv", rows, onlyHash, "doubted"},
		{"a.zip", "", "csv", rows, onlyHash, ""},
		{"a.csv.zst.gz", "", "", rows, onlyHash, ""},
		{"a.parquet.gz", "", "", []byte("PAR1\x00\x00PAR1"), onlyHash, "doubted"},
		{"a.csv.gz", "", "", []byte("PAR1\x00\x00PAR1"), onlyHash, ""},
	} {
		i := fetchtest.NewFile(tt.name, tt.body)
		i.Content, i.Encoding, i.Promise = tt.content, tt.coded, tt.want
		f := newMemoryFetcher(t, fetchtest.NewMemory(i))
		receipt, err := fetchOnce(t, f)
		lands := ""
		if err == nil {
			lands = map[bool]string{true: "doubted", false: "quietly"}[hasMisnamedDoubt(receipt.Doubts)]
		} else if _, ok := errors.AsType[*fetch.MislabelledError](err); !ok || !errors.Is(err, fetch.ErrCorrupt) || len(kindsOf(err)) != 1 {
			t.Errorf("%s, %q: %v", tt.name, tt.coded, err)
		}
		if lands != tt.lands {
			t.Errorf("%s, declared %q, of %.9q: it lands %q, want %q: %v", tt.name, tt.coded, tt.body, lands, tt.lands, err)
		}
		if lands == "" {
			checkAbsent(t, f, exportKey)
		}
	}
}

func TestKeepWireLandsAMislabelledObjectWithADoubt(t *testing.T) {
	for name, body := range map[string]string{
		"a.csv.zst": string(rows), "a.zst": string(rows), "a.zip": "a,b\n", "a.lz4": "\x00\x01raw block", "a.gz": "",
	} {
		for _, want := range []func(verify.Want) verify.Want{onlyHash, onlySize} {
			f := newMemoryFetcher(t, fetchtest.NewMemory(&fetchtest.File{Name: name, Body: []byte(body), Promise: want}, fetchtest.NewFile("b.csv", rows)))
			f.Keep = fetch.KeepWire
			receipt := mustFetch(t, f)
			if !hasMisnamedDoubt(receipt.Doubts) {
				t.Errorf("%s: doubts %q", name, receipt.Doubts)
			}
			checkFiles(t, f, map[string]string{name: body, "b.csv": string(rows)})
		}
	}
}

// A later attempt does not read the object again.
func TestADoubtIsKeptForLaterAttempts(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv.zst", rows), fetchtest.NewFile("b.csv", rows))
	f := newMemoryFetcher(t, s)
	fetchUpTo(t, f, s, "b.csv")
	if receipt := mustFetch(t, f); !hasMisnamedDoubt(receipt.Doubts) {
		t.Errorf("doubts %q", receipt.Doubts)
	}
}

func TestManyDoubtsAreSummedUp(t *testing.T) {
	s := fetchtest.NewMemory()
	for i := range 150 {
		s.Files = append(s.Files, fetchtest.NewFile(fmt.Sprintf("%d.csv.zst", i), rows[:50]))
	}
	receipt := mustFetch(t, newMemoryFetcher(t, s))
	if n := len(receipt.Doubts); n != 101 || receipt.Doubts[100] != "of 150 doubts in all, the others are in objects.jsonl" {
		t.Errorf("%d doubts, the last %q", n, receipt.Doubts[n-1])
	}
}
