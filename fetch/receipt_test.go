package fetch_test

import (
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
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
