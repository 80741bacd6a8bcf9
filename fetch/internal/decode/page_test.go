package decode

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"tallyman/fetch/internal/unpack"
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
		case isPage && (!errors.Is(err, ErrCorrupt) || !bytes.Equal(page.Body, body) || (page.Format == "JSON") != (page.Code != "")):
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
		{"a.tar", "\x00\x01\x02", ""},
		{"a.csv", "", ""},
		{"a.tar", "", ""},
		{".gz", "", ""}, // a name, not an extension
		{"a.csv.gz", "", "ends in .gz, and it has no bytes"},
		{"a.csv.ZST", "", "ends in .ZST, and it has no bytes"},
		{"a.lz4", "", "ends in .lz4, and it has no bytes"},
		{"a.zip", "", "ends in .zip, and it has no bytes"},
		{"a.csv.gz", "\x1f\x8a\x08\x00", "ends in .gz, but it begins neither so nor as text"},
		{"a.zst", "\x29\xb5\x2f\xfd\x04\x00", "ends in .zst, but"},
		{"a.ZIP", "PK\x03\x05\x14\x00", "ends in .ZIP, but"},
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
