package verify

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func FuzzWireGivesEOFIfAndOnlyIfEveryPromiseIsTrue(f *testing.F) {
	f.Add([]byte(text), uint8(0xff), int8(0), uint8(0))
	f.Add([]byte(text), uint8(1), int8(1), uint8(3))
	f.Add([]byte(""), uint8(3), int8(-1), uint8(9))
	f.Add([]byte(text), uint8(0), int8(0), uint8(0))
	f.Add([]byte(text), uint8(0x70), int8(0), uint8(1))
	f.Fuzz(func(t *testing.T, body []byte, promises uint8, off int8, pieces uint8) {
		want, lies := NoPromise(), false
		promise := func(bit int, field *string, truth, lie string) {
			if promises&(1<<bit) == 0 {
				return
			}
			*field = truth
			if promises&(1<<(bit+4)) == 0 {
				*field, lies = lie, true
			}
		}
		if promises&1 != 0 {
			want.Size = max(0, int64(len(body))+int64(off))
			lies = want.Size != int64(len(body))
		}
		promise(1, &want.CRC64, crcOf(string(body)), "1")
		promise(2, &want.MD5, md5Of(string(body)), otherMD5)
		proven := want.CRC64 != "" || want.MD5 != ""
		if promises&8 != 0 {
			want.ETag = strings.ToUpper(md5Of(string(body)))
			if promises&0x80 == 0 {
				want.ETag, lies = otherMD5, lies || !proven
			}
		}
		held := want != NoPromise() && !lies && crcOf(string(body)) != "1"
		rest := body
		w, got, err := hear(want, readerFunc(func(p []byte) (n int, err error) {
			n = copy(p[:min(len(p), int(pieces)+1)], rest)
			if rest = rest[n:]; len(rest) == 0 {
				err = io.EOF
			}
			return n, err
		}))
		if (err == nil) != held || (w.Verdict() == io.EOF) != held || held && got != string(body) {
			t.Errorf("%+v over %q: %v, want held %v", want, body, err, held)
		}
		if err != nil && errors.Is(err, io.EOF) {
			t.Errorf("%v is io.EOF", err)
		}
	})
}
