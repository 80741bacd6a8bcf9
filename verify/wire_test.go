package verify

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const text = "time,level\n1722409860,INFO\n1722409861,WARN\n"

func md5Of(b string) string { return fmt.Sprintf("%x", md5.Sum([]byte(b))) }

func crcOf(b string) string {
	return fmt.Sprint(crc64.Checksum([]byte(b), crc64.MakeTable(crc64.ECMA)))
}

// readWire reads a Wire to its end.
func readWire(want Want, r io.Reader) (*Wire, string, error) {
	w := NewWire("o", want, r)
	b, err := io.ReadAll(w)
	return w, string(b), err
}

// readers are ways that io.Reader allows to give the same bytes.
var readers = map[string]func(io.Reader) io.Reader{
	"at once":       func(r io.Reader) io.Reader { return r },
	"one byte":      iotest.OneByteReader,
	"half":          iotest.HalfReader,
	"data with EOF": iotest.DataErrReader,
}

func TestEOFIsTheVerdictThatEveryPromiseHeld(t *testing.T) {
	size := int64(len(text))
	for _, tt := range []struct {
		name  string
		want  Want
		proof string
	}{
		{"size", Want{Size: size}, CheckSize},
		{"crc64", Want{Size: Unknown, CRC64: crcOf(text)}, CheckCRC64},
		{"md5", Want{Size: Unknown, MD5: md5Of(text)}, CheckMD5},
		{"sha256", Want{Size: Unknown, SHA256: sha256Of(text)}, CheckSHA256},
		{"sha256 and md5", Want{Size: int64(len(text)), SHA256: strings.ToUpper(sha256Of(text)), MD5: md5Of(text)}, CheckSHA256},
		{"upper-case md5", Want{Size: Unknown, MD5: strings.ToUpper(md5Of(text))}, CheckMD5},
		{"etag", Want{Size: Unknown, ETag: `"` + strings.ToUpper(md5Of(text)) + `"`}, CheckETag},
		{"all", Want{size, md5Of(text), md5Of(text), crcOf(text), "", ""}, CheckCRC64},
		{"size and an opaque etag", Want{Size: size, ETag: "EXSFGSDASDASDG123ASD"}, CheckSize},
	} {
		for name, reader := range readers {
			w, got, err := readWire(tt.want, reader(strings.NewReader(text)))
			if err != nil || got != text || w.Result().Proof != tt.proof || w.Result().Verdict != io.EOF {
				t.Errorf("%s, %s: %q, %v, proof %q, verdict %v", tt.name, name, got, err, w.Result().Proof, w.Result().Verdict)
			}
		}
	}
}

func TestPromisesOfAnEmptyObjectAreChecked(t *testing.T) {
	for _, want := range []Want{{Size: 0}, {Size: 0, CRC64: "0", MD5: md5Of("")}, {Size: Unknown, ETag: md5Of("")}} {
		if _, _, err := readWire(want, strings.NewReader("")); err != nil {
			t.Errorf("%+v: %v", want, err)
		}
	}
}

func TestBytesThatBreakAPromiseAreAMismatchAndNeverEOF(t *testing.T) {
	size := int64(len(text))
	wants := map[string]Want{
		CheckSize:  {Size: size},
		CheckCRC64: {Size: Unknown, CRC64: crcOf(text)},
		CheckMD5:   {Size: Unknown, MD5: md5Of(text)},
		CheckETag:  {Size: Unknown, ETag: md5Of(text)},
	}
	flipped := []byte(text)
	flipped[7] ^= 1
	for lie, body := range map[string]string{
		"empty": "", "short": text[:size-1], "long by one byte": text + "\n", "long": text + text, "flipped": string(flipped),
	} {
		for check, want := range wants {
			if lie == "flipped" && check == CheckSize {
				continue
			}
			for name, reader := range readers {
				w, _, err := readWire(want, reader(strings.NewReader(body)))
				var mismatch *Mismatch
				if !errors.As(err, &mismatch) || mismatch.Check != check || mismatch.Object != "o" || errors.Is(err, io.EOF) {
					t.Errorf("%s against %s, %s: %v", lie, check, name, err)
				}
				if n, again := w.Read(make([]byte, 8)); n != 0 || again != err || w.Result().Verdict != err {
					t.Errorf("%s against %s, %s: then %d, %v", lie, check, name, n, again)
				}
			}
		}
	}
}

func TestEveryPromiseMustHold(t *testing.T) {
	all := Want{int64(len(text)), md5Of(text), md5Of(text), crcOf(text), "", ""}
	for _, tt := range []struct {
		check  string
		change func(*Want)
	}{
		{CheckSize, func(w *Want) { w.Size++ }},
		{CheckCRC64, func(w *Want) { w.CRC64 = "0" }},
		{CheckSHA256, func(w *Want) { w.SHA256 = otherMD5 + otherMD5 }},
		{CheckMD5, func(w *Want) { w.MD5 = otherMD5 }},
	} {
		want := all
		tt.change(&want)
		_, _, err := readWire(want, strings.NewReader(text))
		var mismatch *Mismatch
		if !errors.As(err, &mismatch) || mismatch.Check != tt.check {
			t.Errorf("%s: %v", tt.check, err)
		}
	}
}

func TestAnEndlessObjectIsCutOffAtItsSize(t *testing.T) {
	const size = 1000
	var sent int64
	endless := readerFunc(func(p []byte) (int, error) { sent += int64(len(p)); return len(p), nil })
	w, got, err := readWire(Want{Size: size}, endless)
	var mismatch *Mismatch
	if !errors.As(err, &mismatch) || mismatch.Check != CheckSize || len(got) > size || w.Result().Size != sent || sent > 2*size {
		t.Errorf("%v after %d bytes, of which %d were given", err, sent, len(got))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestAnObjectWithoutAPromiseIsUnproven(t *testing.T) {
	for _, etag := range []string{"", `""`, "EXSFGSDASDASDG123ASD", `W/"` + md5Of(text) + `"`, `"null"`, otherMD5 + "-3", otherMD5 + "-1"} {
		w, _, err := readWire(Want{Size: Unknown, ETag: etag}, strings.NewReader(text))
		if !errors.Is(err, ErrUnproven) || errors.Is(err, io.EOF) || w.Result().Proof != "" {
			t.Errorf("%s: %v, proof %q", etag, err, w.Result().Proof)
		}
	}
}

// A flaky reader fails once, where it should give io.EOF, and would then go on.
type flaky struct {
	r      io.Reader
	err    error
	failed bool
}

func (f *flaky) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF && !f.failed {
		f.failed = true
		return n, f.err
	}
	return n, err
}

func TestErrorsOfTheReaderPassThroughAndStay(t *testing.T) {
	broken := &fs.PathError{Op: "read", Path: "wire", Err: errors.New("input/output error")}
	for _, failure := range []error{broken, io.ErrUnexpectedEOF, fmt.Errorf("read: %w", broken), &Mismatch{Object: "o"}} {
		w, got, err := readWire(Want{Size: int64(len(text))}, &flaky{r: strings.NewReader(text), err: failure})
		if err != failure || got != text || w.Result().Verdict != failure || w.Result().Checks != nil {
			t.Errorf("%v: %q, %v, verdict %v", failure, got, err, w.Result().Verdict)
		}
		if n, err := w.Read(make([]byte, 1)); n != 0 || err != failure {
			t.Errorf("%v: then %d, %v", failure, n, err)
		}
	}
}

// Errors of connections wrap io.EOF. Even if all promised bytes have come by then,
// more could have followed.
func TestAnErrorThatWrapsEOFIsNoVerdict(t *testing.T) {
	lost := &fs.PathError{Op: "read", Path: "connection", Err: io.EOF}
	for _, want := range []Want{{Size: int64(len(text))}, {Size: 5 * int64(len(text))}, {Size: Unknown, CRC64: crcOf(text)}, NoPromise()} {
		w, _, err := readWire(want, &flaky{r: strings.NewReader(text), err: lost})
		var path *fs.PathError
		switch {
		case errors.Is(err, io.EOF) || errors.Is(w.Result().Verdict, io.EOF):
			t.Errorf("%+v: %v is io.EOF", want, err)
		case !errors.Is(err, lost) || !errors.As(err, &path) || path != lost || err.Error() != lost.Error():
			t.Errorf("%+v: %v is not what the reader gave", want, err)
		case w.Result().Proof != "" || w.Result().Checks != nil:
			t.Errorf("%+v: judged %v", want, w.Result().Checks)
		}
	}
}

func TestAnETagIsBelievedUnlessSomethingBetterProvesTheBytes(t *testing.T) {
	size := int64(len(text))
	multipart := func(etag string) string { return fmt.Sprintf("%X-1", md5.Sum([]byte(strings.ToUpper(etag)))) }
	for _, tt := range []struct {
		name    string
		want    Want
		verdict string // of the ETag
		proof   string
	}{
		{"right", Want{Size: size, ETag: md5Of(text)}, Held, CheckETag},
		{"wrong", Want{Size: size, ETag: otherMD5}, Broken, ""},
		{"wrong and alone", Want{Size: Unknown, ETag: otherMD5}, Broken, ""},
		{"wrong where CRC64 holds", Want{Size: size, ETag: otherMD5, CRC64: crcOf(text)}, NotComparable, CheckCRC64},
		{"wrong where MD5 holds", Want{Size: size, ETag: otherMD5, MD5: md5Of(text)}, NotComparable, CheckMD5},
		{"right beside CRC64", Want{Size: size, ETag: md5Of(text), CRC64: crcOf(text)}, Held, CheckCRC64},
		{"of one part, right", Want{Size: size, ETag: multipart(md5Of(text))}, Held, CheckETag},
		{"of one part, wrong", Want{Size: size, ETag: otherMD5 + "-1"}, NotComparable, CheckSize},
		{"of parts, wrong", Want{Size: size, ETag: otherMD5 + "-7"}, NotComparable, CheckSize},
		{"of parts, wrong, where CRC64 holds", Want{Size: size, ETag: otherMD5 + "-7", CRC64: crcOf(text)}, NotComparable, CheckCRC64},
		{"of more parts than bytes", Want{Size: size, ETag: otherMD5 + "-9999"}, NotComparable, CheckSize},
		{"of parts of nothing", Want{Size: 0, ETag: otherMD5 + "-1"}, "", ""},
		{"weak", Want{Size: size, ETag: `W/"` + md5Of(text) + `"`}, NotComparable, CheckSize},
		{"opaque", Want{Size: size, ETag: "null"}, NotComparable, CheckSize},
	} {
		w, _, err := readWire(tt.want, strings.NewReader(text))
		i := slices.IndexFunc(w.Result().Checks, func(c Check) bool { return c.Check == CheckETag })
		switch {
		case tt.verdict == "":
			if mismatch, ok := errors.AsType[*Mismatch](err); !ok || mismatch.Check != CheckSize {
				t.Errorf("%s: %v, want a mismatch of the size", tt.name, err)
			}
		case i < 0 || w.Result().Checks[i].Verdict != tt.verdict || w.Result().Checks[i].Want != tt.want.ETag:
			t.Errorf("%s: %+v, want %s", tt.name, w.Result().Checks, tt.verdict)
		case (err != nil) != (tt.verdict == Broken):
			t.Errorf("%s: %v", tt.name, err)
		case err == nil && w.Result().Proof != tt.proof:
			t.Errorf("%s: proof %q, want %q", tt.name, w.Result().Proof, tt.proof)
		}
	}
}

func TestWireListsEachPromiseInOrder(t *testing.T) {
	w, _, err := readWire(Want{int64(len(text)), "null", md5Of(text), crcOf(text), "", ""}, strings.NewReader(text))
	want := []Check{
		{CheckSize, fmt.Sprint(len(text)), fmt.Sprint(len(text)), Held},
		{CheckCRC64, crcOf(text), crcOf(text), Held},
		{CheckMD5, md5Of(text), md5Of(text), Held},
		{CheckETag, "null", "", NotComparable},
	}
	if diff := cmp.Diff(want, w.Result().Checks); err != nil || diff != "" {
		t.Errorf("%v, %s", err, diff)
	}
}

func TestThereIsNoVerdictBeforeTheEnd(t *testing.T) {
	w := NewWire("o", Want{Size: int64(len(text))}, strings.NewReader(text))
	if _, err := io.ReadFull(w, make([]byte, len(text))); err != nil {
		t.Fatal(err)
	}
	if w.Result().Verdict != nil || w.Result().Checks != nil || w.Result().Proof != "" {
		t.Errorf("%v, %v, %q before io.EOF", w.Result().Verdict, w.Result().Checks, w.Result().Proof)
	}
}

func TestWireIsAnIOReader(t *testing.T) {
	body := make([]byte, 5000)
	for i := range body {
		body[i] = byte(rand.Uint32())
	}
	want := Want{int64(len(body)), md5Of(string(body)), md5Of(string(body)), crcOf(string(body)), "", ""}
	for name, reader := range readers {
		if err := iotest.TestReader(NewWire("o", want, reader(bytes.NewReader(body))), body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The stores compute CRC-64/XZ, whose check value is published.
func TestCRC64IsThatOfTheStores(t *testing.T) {
	w, _, _ := readWire(Want{Size: 9}, strings.NewReader("123456789"))
	if w.Result().CRC64 != "11051210869376104954" {
		t.Errorf("%s", w.Result().CRC64)
	}
}

func sha256Of(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
