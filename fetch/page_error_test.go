package fetch

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"tallyman/fetch/internal/decode"
)

// Whatever an error page says, its error is one line without control characters,
// of a kind that callers branch on.
func FuzzPageError(f *testing.F) {
	f.Add("XML", []byte("<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired.</Message><RequestId>R1</RequestId></Error>"), "", "")
	f.Add("XML", []byte("<Error>"), "", "")
	f.Add("HTML", []byte("<!DOCTYPE html><title>502</title>"), "", "502\r\n\xff")
	f.Add("JSON", []byte("{}"), "Throttling", "slow\ndown")
	kinds := []error{ErrCorrupt, ErrAuth, ErrNotFound, ErrThrottled, ErrExpired, ErrTemporary, ErrRefused}
	f.Fuzz(func(t *testing.T, format string, body []byte, code, text string) {
		err := pageError("a.csv", &decode.PageError{Format: format, Body: body, Code: code, Message: text, Title: text})
		call, ok := errors.AsType[*CallError](err)
		if !ok || !slices.Contains(kinds, call.Kind) || strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 2000 {
			t.Errorf("%q: %+v", err, call)
		}
	})
}
