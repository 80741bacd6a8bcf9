package decode

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// taken returns a Names.Taken for those names.
func taken(names ...string) func(string) bool {
	set := map[string]bool{}
	for _, name := range names {
		set[name] = true
	}
	return func(name string) bool { return set[name] }
}

// What a name says of a codec is true of the file, too: "gzip -t" passes.
func TestAnObjectNeverGetsTheNameOfAnother(t *testing.T) {
	for _, tt := range []struct {
		object, content string
		taken           []string
		codec           string
		keepEncoded     bool
		file, wire      string
		encoded, entry  string
	}{
		{object: "x.csv", file: "x.csv", wire: "x.csv", entry: "x.csv/e"},
		{object: "x.csv.gz", codec: "gzip", file: "x.csv", wire: "x.csv.gz", entry: "x.csv/e"},
		{object: "x.csv.gz", codec: "gzip", taken: []string{"x.csv"}, keepEncoded: true,
			file: "x~HASH.csv", wire: "x.csv.gz", encoded: "x.csv.gz", entry: "x.csv.gz/e"},
		{object: "x.csv.GZ", codec: "gzip", taken: []string{"x.csv"}, keepEncoded: true,
			file: "x~HASH.csv", wire: "x.csv.GZ", encoded: "x.csv.GZ", entry: "x.csv.GZ/e"},
		{object: "x.csv.gz", codec: "gzip", taken: []string{"x.csv", "x.csv.gz"},
			file: "x~HASH.csv", wire: "x.csv~HASH.gz", entry: "x~HASH.csv/e"},
		{object: "x.csv.gz", codec: "zstd", taken: []string{"x.csv"}, keepEncoded: true,
			file: "x~HASH.csv", wire: "x.csv.gz", encoded: "x~HASH.csv.zst", entry: "x.csv.gz/e"},
		{object: "x.csv.gz", codec: "", taken: []string{"x.csv"}, keepEncoded: true,
			file: "x~HASH.csv", wire: "x.csv.gz", encoded: "x~HASH.csv", entry: "x.csv.gz/e"},
		{object: "x.csv.gz", codec: "gzip+tar", taken: []string{"x.csv"}, keepEncoded: true,
			file: "x~HASH.csv", wire: "x.csv.gz", encoded: "", entry: "x.csv.gz/e"},
		{object: "x.csv", codec: "gzip", taken: []string{"x.csv.gz"},
			file: "x.csv", wire: "x.csv~HASH.gz", entry: "x.csv/e"},
		{object: "d/a", taken: []string{"d/a"}, file: "d/a~HASH", wire: "d/a~HASH", entry: "d/a~HASH/e"},
		{object: "t.zip", codec: "zip", taken: []string{"t.zip"}, file: "t~HASH.zip", wire: "t~HASH.zip", entry: "t~HASH.zip/e"},
		{object: "x", content: "csv", taken: []string{"x.csv"}, file: "x", wire: "x~HASH.csv", entry: "x/e"},
	} {
		n := Names{Object: tt.object, Base: tt.object, Content: tt.content, Taken: taken(tt.taken...)}
		got := []string{n.File(), n.Wire(tt.codec), n.Entry("e")}
		want := []string{tt.file, tt.wire, tt.entry}
		if n.KeepEncoded() != tt.keepEncoded {
			t.Errorf("%s beside %q is kept encoded: %v", tt.object, tt.taken, n.KeepEncoded())
		}
		if tt.keepEncoded {
			got, want = append(got, n.Encoded(tt.codec)), append(want, tt.encoded)
		}
		sum := sha256.Sum256([]byte(tt.object))
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "HASH", hex.EncodeToString(sum[:16]))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s of codec %q beside %q: file, wire, entry and encoded (-want +got)\n%s", tt.object, tt.codec, tt.taken, diff)
		}
	}
}
