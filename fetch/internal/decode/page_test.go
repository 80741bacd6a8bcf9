package decode

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"tallyman/fetch/internal/unpack"
	"tallyman/verify"
)

func FuzzPage(f *testing.F) {
	for _, page := range []string{
		"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired.</Message><RequestId>R1</RequestId></Error>",
		"<!DOCTYPE html><title>502</title>", "<html ", "<Error>", "\ufeff<error>", "a,b\n", "",
		`{"Code":"Throttling","Message":"slow down","RequestId":"R1"}`,
	} {
		f.Add([]byte(page))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, got, err := decodeAs("a.csv", body)
		page, isPage := errors.AsType[*PageError](err)
		switch {
		case isPage && (!errors.Is(err, ErrCorrupt) || !bytes.Equal(page.Body, body) || (page.Format == "JSON") != (page.Code+page.Message != "")):
			t.Errorf("%q: %+v", err, page)
		case isPage && len(got) > 0:
			t.Errorf("%d bytes of a page were written", len(got))
		case err != nil && !isOneOf(err, []error{ErrCorrupt, unpack.ErrBomb, unpack.ErrUnsafeName, unpack.ErrEncrypted}):
			t.Errorf("%v", err)
		}
	})
}

func TestMislabelledObjectsAreRefusedUnlessTheyAreOfTheNamedType(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		says       string // "": it lands as it is
	}{
		{"a.csv.gz", "a,b\n1,2\n", ""},
		{"订单.csv.gz", "订单,b\n", ""},
		{"a.gz", "a,b\n1,2\n", "ends in .gz, but it begins as text"},
		{"a.csv.zst", "\xb6\xa9\xb5\xa5,b\n", ""}, // GBK
		{"a.csv.lz4", "\xff\xfea\x00,\x00", ""},   // UTF-16
		{"a.parquet.gz", "PAR1\x15\x04\x00", ""},
		{"a.csv.gz", "PAR1\x15\x04\x00", "ends in .gz, but it begins as text does or Parquet"},
		{"a.zip", "a,b\n", "ends in .zip, but it begins as text"},
		{"a.csv.zip", "a,b\n", "ends in .zip, but it begins as text"},
		{"a.bin", "\x00\x01\x02", ""},
		{"a.tar", "\x00\x01\x02", "ends in .tar, but it begins neither so nor as text"},
		{"a.csv.tar", "a,b\n", "ends in .tar, but it begins as text"},
		{"a.tgz", "a,b\n", "ends in .tgz, but it begins as text"},
		{"a.taz", "\x00\x01\x02", "ends in .taz, but it begins neither so"},
		{"a.TZST", "\x00\x01\x02", "ends in .TZST, but it begins neither so"},
		{"a.zipx", "\x00\x01\x02", "ends in .zipx, but it begins neither so"},
		{"a.lz4", "\x02\x21\x4c\x18\x00", "it is of the old format of lz4"},
		{"a.parquet", "\x00\x01\x02", ""},
		{"a.orc.gz", "ORC\x01\x02", ""},
		{"a.br", "\x0b\x02\x80", ""}, // which has no magic
		{"a.csv", "", ""},
		{".gz", "", ""}, // a name, not an extension
		{"a.csv.gz", "\x1f\x8a\x08\x00", "ends in .gz, but it begins neither so nor as text"},
		{"a.zst", "\x29\xb5\x2f\xfd\x04\x00", "ends in .zst, but"},
		{"a.ZIP", "PK\x03\x05\x14\x00", "ends in .ZIP, but"},
		{"a.zip", "PK\x07\x08PK\x03\x04", "ends in .zip, but"}, // the first part of a split zip
		{"a.zipx", "PK\x01\x02", "ends in .zipx, but"},         // the last one
		{"a.zip", "\x00\xffPK\x05\x06", "ends in .zip, but"},
		{"a.csv.zip", "PK", "ends in .zip, but"},
	} {
		d, got, err := decodeAs(tt.name, []byte(tt.body))
		if tt.says == "" && (err != nil || d != (outcome{}) || string(got) != tt.body) {
			t.Errorf("%s of %q: %+v, %q, %v", tt.name, tt.body, d, got, err)
		}
		if tt.says != "" && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s of %q: %v, want %q", tt.name, tt.body, err, tt.says)
		}
	}
}

// What came as it is lands under its own name, or with the suffix of what it is.
// What is not what its name says lands with the doubt misnamed, or not at all if
// only its size proves it.
func TestANameSaysWhatAFileIsForAndItsFirstBytesHowItIsEncoded(t *testing.T) {
	const csv = "a,b\n1,2\n"
	gz := string(encodeGzip(t, []byte(csv)))
	const zip, bz2, xz, random = "PK\x03\x04\x14\x00", "BZh91AY&SY\x01\x02", "\xfd7zXZ\x00\x00", "\x00\x01\x02\x80"
	packed := func(content string) string { return string(encodeGzip(t, []byte(content))) }
	for _, tt := range []struct {
		name, body  string
		file, doubt string // of the content, "" for none
		needsHash   bool
	}{
		{"report.xlsx", zip, "report.xlsx", "", false},
		{"app.jar", zip, "app.jar", "", false},
		{"x.unheard", zip, "x.unheard", "", false},
		{"report.xlsx.gz", packed(zip), "report.xlsx", "", false},
		{"image.svgz", gz, "image.svgz", "", false},
		{"image.svgz", "\x50\x2a\x4d\x18\x03\x00\x00\x00xyz" + gz, "image.svgz", "", false},
		{"x.csv", zip, "x.csv.zip", "but zip", false},
		{"x.csv", xz, "x.csv.xz", "not what its name says, but xz", false},
		{"x.csv.gz", packed(gz), "x.csv.gz", "not what its name says, but gzip", false},
		{"x.gz", packed(gz), "x.gz", "but gzip", false},
		{"x.csv.gz.gz", packed(gz), "x.csv.gz", "", false},
		{"x.csv.gz", packed(bz2), "x.csv.bz2", "but bzip2", false},
		{"x.csv.gz", packed(zip), "x.csv.zip", "but zip", false},
		{"x.csv.gz", bz2, "x.csv.bz2", "ends in .gz, but it is bzip2", true},
		{"x.csv.bz2", bz2, "x.csv.bz2", "", false},
		{"x.tbz2", bz2, "x.tbz2", "", false},
		{"x", bz2, "x", "", false},
		{"x.bz2", gz, "x.bz2.gz", "ends in .bz2, but it is gzip", true},
		{"x.tar", bz2, "x.tar.bz2", "ends in .tar, but it is bzip2", true},
		{"x.bz2", random, "x.bz2", "neither so nor as text", true},
		{"x.7z", csv, "x.7z", "begins as text", true},
		{"x.br", csv, "x.br", "begins as text", true},
		{"x.br", random, "x.br", "", false},
		{"x.parquet", random, "x.parquet", "", false},
		{"x.z01", zip, "x.z01", "part of a split zip", false},
		{"x.Z99", "PK\x07\x08" + zip, "x.Z99", "part of a split zip", false},
		{"x.zx01", "PK\x01\x02", "x.zx01", "part of a split zip", false},
		{"x.z02", random, "x.z02", "part of a split zip", false},
		{"x.z03", csv, "x.z03", "part of a split zip", false}, // of one that is stored
		{"x.zx02.gz", packed(random), "x.zx02", "part of a split zip", false},
		{"x.z002", random, "x.z002", "", false},
		{"x.z01.gz", packed(zip), "x.z01", "part of a split zip", false},
		{"x.tar.gz", packed(csv), "x.tar", "decodes to something else", false},
		{"x.tgz", packed(csv), "x.tar", "decodes to something else", false},
		{"x.csv.gz", "", "x.csv", "has no bytes", true},
		{"x.zip", "", "x.zip", "has no bytes", true},
		{"x.tar", "", "x.tar", "has no bytes", true},
		{"x.csv", "", "x.csv", "", false},
	} {
		out := &file{wire: bytes.NewReader([]byte(tt.body))}
		target := Target{Names: Names{Object: tt.name, Base: tt.name}, Size: int64(len(tt.body)), Workers: 1, Output: out, Recover: recoverPanic}
		result, err := Run(t.Context(), io.NopCloser(out.wire), target)
		doubt, hashErr := result.Accept(verify.CheckMD5)
		if err != nil || hashErr != nil || out.name != tt.file || (doubt == "") != (tt.doubt == "") || !strings.Contains(doubt, tt.doubt) {
			t.Errorf("%s of %.9q: file %q, doubt %q, %v, %v; want %q, %q", tt.name, tt.body, out.name, doubt, err, hashErr, tt.file, tt.doubt)
		}
		if _, sizeErr := result.Accept(verify.CheckSize); (sizeErr != nil) != tt.needsHash {
			t.Errorf("%s of %.9q, only its size is proven: %v", tt.name, tt.body, sizeErr)
		}
		if result.Codec == "" && out.String() != tt.body {
			t.Errorf("%s of %.9q is kept as %q", tt.name, tt.body, out.String())
		}
	}
}
