package fetch

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"
)

// Each field of a store's error is one short line without a secret, and a known code
// is read as it was written.
func FuzzStoreError(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code><Message>Request has expired.</Message><RequestId>R1</RequestId></Error>`), "NoSuchKey", "why")
	f.Add([]byte("<Error><Code>A</Code><Code>B</Code>"), "SlowDown", "see https://h/a?b=c")
	f.Add([]byte(`<?xml version="1.0" encoding="GBK"?><Error/>`), "", "a\nb\x1b[2J")
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY b "c">]><Error><Code>&b;</Code></Error>`), "<&>", "日")
	f.Fuzz(func(t *testing.T, body []byte, code, message string) {
		mustBePlain(t, ParseStoreError(body))
		if strings.Contains(code+message, "SECRET") {
			return
		}
		written, err := xml.Marshal(StoreError{XMLName: xml.Name{Local: "Error"}, Code: code, Message: message + " ?Signature=SECRET", RequestID: "R1"})
		if err != nil {
			t.Fatal(err)
		}
		said := ParseStoreError(written)
		mustBePlain(t, said)
		if said.RequestID != "R1" || strings.Contains(said.Code+said.Message, "SECRET") {
			t.Errorf("%s: %+v", written, said)
		}
		for _, c := range storeCodes {
			if c.code == code && said.Code != code {
				t.Errorf("%s: %+v", written, said)
			}
		}
	})
}

func mustBePlain(t *testing.T, said StoreError) {
	t.Helper()
	for _, s := range []string{said.Code, said.Message, said.RequestID} {
		if len(s) > longestText || !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\t") {
			t.Errorf("%q", s)
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("a control character is in %q", s)
		}
	}
}
