package fetch_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"

	"github.com/google/go-cmp/cmp"
)

func TestALandedExportIsCheckedAgainstNewPromises(t *testing.T) {
	size, sum, crc := fmt.Sprint(len(rows)), fmt.Sprintf("%x", md5.Sum(rows)), crcOf(rows)
	sha := fmt.Sprintf("%x", sha256.Sum256(rows))
	for _, tt := range []struct {
		landed, now string // the promises
		respond     responder
		check, got  string // "": none is broken
	}{
		{now: ""},
		{now: "#size=" + size + "&md5=" + sum + "&crc64=" + crc},
		{landed: "#md5=" + sum, now: ""},
		{landed: "#md5=" + sum, now: "#md5=" + sum},
		{landed: "#md5=" + sum, now: "#md5=" + wrongMD5, check: verify.CheckMD5, got: sum},
		{now: "#md5=" + wrongMD5, check: verify.CheckMD5, got: sum}, // by the ETag
		{respond: withHeaders("ETag", etagOf(nil)), now: "#md5=" + sum},
		{respond: withHeaders("ETag", etagOf(nil)), now: "#md5=" + wrongMD5, check: verify.CheckMD5, got: sum},
		{respond: withHeaders("ETag", partsETag(rows)), now: "#md5=" + wrongMD5}, // its MD5 is not known
		{respond: withHeaders("ETag", ""), now: "#md5=" + wrongMD5},
		{respond: withHeaders("ETag", ""), landed: "#md5=" + sum, now: "#md5=" + wrongMD5, check: verify.CheckMD5, got: sum},
		{landed: "#sha256=" + sha, now: "#sha256=" + sha},
		{now: "#sha256=" + sha}, // by the hash of the file, which is as it was transferred
		{now: "#sha256=" + wrongMD5 + wrongMD5, check: verify.CheckSHA256, got: sha},
		{now: "#size=17", check: verify.CheckSize, got: size},
		{now: "#crc64=17", check: verify.CheckCRC64, got: crc},
		{respond: withHeaders("X-Oss-Hash-Crc64ecma", ""), now: "#crc64=17", check: verify.CheckCRC64, got: crc},
		{now: "#records=17", check: verify.CheckRecords, got: "82"},
		{landed: "#records=17", now: "#records=17"}, // it landed with a doubt about them
		{landed: "#records=17", now: "#records=18", check: verify.CheckRecords, got: "82"},
		{landed: "#records=17", now: "#records=81"},
		{now: "#records=82"},
	} {
		name := fmt.Sprintf("landed with %q, then %q", tt.landed, tt.now)
		s := serve(t, rows)
		s.respond = tt.respond
		f, _ := newFetcher(t, t.TempDir())
		landed, err := f.Fetch(t.Context(), s.ref(t, "export.csv", tt.landed))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		before := s.count.Load()
		ref := s.ref(t, "export.csv", tt.now)
		receipt, err := f.Fetch(t.Context(), ref)
		if polled := f.Poll(t.Context(), ref); (polled == nil) != (err == nil) {
			t.Errorf("%s: Poll says %v, Fetch %v", name, polled, err)
		}
		mismatch, broken := errors.AsType[*verify.Mismatch](err)
		switch {
		case tt.check == "" && (err != nil || !receipt.Landed.Equal(landed.Landed)):
			t.Errorf("%s: %v", name, err)
		case tt.check != "" && !broken:
			t.Errorf("%s: %v, want a mismatch of %s", name, err, tt.check)
		case tt.check != "" && (mismatch.Check != tt.check || mismatch.Got != tt.got || receipt != nil):
			t.Errorf("%s: %v, want %s of %s", name, err, tt.check, tt.got)
		}
		if s.count.Load() != before {
			t.Errorf("%s: the store was asked", name)
		}
		checkLanded(t, f, ref.Key(), rows)
	}
}

// A receipt says who took part and what was received, whatever of it is kept, and
// the hash of the bytes as received is that of no other bytes.
func TestAReceiptSaysWhoTookPartAndWhatWasReceived(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := bytes.Cut(rows, []byte("\n"))
	first := fmt.Sprintf("%x", sha256.Sum256(header))
	for _, tt := range []struct {
		codec, suffix string // "" is none
		keep          fetch.Keep
		files         []archive.File
		counted       []archive.Counted
	}{
		{"", "", fetch.KeepContent, []archive.File{{Path: "export.csv"}}, nil},
		{"", "", fetch.KeepBoth, []archive.File{{Path: "export.csv"}}, nil},
		{"zstd", ".zst", fetch.KeepContent, []archive.File{{Path: "export.csv"}}, nil},
		{"zstd", ".zst", fetch.KeepBoth, []archive.File{{Path: "export.csv"}, {Path: "export.csv.zst", Wire: true}}, nil},
		{"zstd", ".zst", fetch.KeepWire, []archive.File{{Path: "export.csv.zst", Wire: true}}, []archive.Counted{{Name: "export.csv", Format: "csv", Records: 82, Header: true, FirstSHA256: first}}},
	} {
		wire := encode(t, tt.codec, rows)
		size, sum, sha := int64(len(wire)), fmt.Sprintf("%x", md5.Sum(wire)), fmt.Sprintf("%x", sha256.Sum256(wire))
		s := serve(t, wire)
		f, _ := newFetcher(t, t.TempDir())
		f.Version, f.Keep, f.Profile = "v1.2.3", tt.keep, func(ref fetch.Ref) string { return "of-" + ref.Scheme() }
		ref := s.ref(t, "export.csv"+tt.suffix, "")
		got, err := f.Fetch(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		want := &archive.Receipt{
			Schema: "tallyman.receipt/v1", Ledger: "tallyman.ledger/v1", Reference: ref.String(), Key: ref.Key(), FirstSeen: got.FirstSeen, Landed: got.Landed,
			Doubts: []string{}, Checks: []verify.Check{}, Records: 82, Headers: 1, First: &ledger.First{SHA256: first, Files: 1}, Files: len(tt.files),
			Version: "v1.2.3", Endpoint: strings.TrimPrefix(s.URL, "http://"), Profile: "of-http", Host: host, Attempts: 1,
		}
		object := archive.Object{
			Name: "export.csv" + tt.suffix, Size: size, CRC64: crcOf(wire), WireSHA256: sha, Codec: tt.codec, Proof: verify.CheckCRC64,
			Store: archive.Promise{Size: &size, ETag: etagOf(wire), CRC64: crcOf(wire)}, Counted: tt.counted,
			Checks: []verify.Check{
				{Check: verify.CheckSize, Want: fmt.Sprint(size), Got: fmt.Sprint(size), Verdict: verify.Held},
				{Check: verify.CheckCRC64, Want: crcOf(wire), Got: crcOf(wire), Verdict: verify.Held},
				{Check: verify.CheckETag, Want: etagOf(wire), Got: sum, Verdict: verify.Held},
			},
		}
		for _, file := range tt.files {
			file.Size, file.SHA256, file.Records = size, sha, verify.Unknown
			if !file.Wire {
				file.Size, file.SHA256 = int64(len(rows)), fmt.Sprintf("%x", sha256.Sum256(rows))
				file.Format, file.Records, file.Header, file.FirstSHA256 = "csv", 82, true, first
			}
			want.Bytes += file.Size
			object.Files = append(object.Files, file)
		}
		want.Objects = []archive.Object{object}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, kept %s (-want +got):\n%s", ref, tt.keep, diff)
		}
		if read, err := f.Archive.Receipt(ref.Key()); err != nil || !cmp.Equal(got, read) {
			t.Errorf("%s, kept %s, is read as %+v, %v", ref, tt.keep, read, err)
		}
		for promise, holds := range map[string]bool{"#sha256=" + sha: true, "#sha256=" + wrongMD5 + wrongMD5: false} {
			if _, err := f.Landed(t.Context(), s.ref(t, "export.csv"+tt.suffix, promise)); holds != (err == nil) || holds == isMismatch(err) {
				t.Errorf("%s, kept %s, and then %s: %v", ref, tt.keep, promise, err)
			}
		}
	}
}

const wrongMD5 = "00000000000000000000000000000000"

func TestNewPromisesCountRecordsThatWereNotKept(t *testing.T) {
	s := serve(t, encode(t, "zstd", rows))
	f, _ := newFetcher(t, t.TempDir())
	f.Keep = fetch.KeepWire
	if _, err := f.Fetch(t.Context(), s.ref(t, "export.csv", "")); err != nil {
		t.Fatal(err)
	}
	for promise, holds := range map[string]bool{"#records=81": true, "#records=17": false} {
		_, err := f.Fetch(t.Context(), s.ref(t, "export.csv", promise))
		if isMismatch(err) == holds {
			t.Errorf("%s: %v", promise, err)
		}
	}
}
