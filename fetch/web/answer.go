package web

import (
	"fmt"
	"net/http"

	"tallyman/fetch"
	"tallyman/verify"
)

// Answer takes a store's answer to a request for n bytes at off for what it
// is: stores answer a range by 206, or by 200 with all the bytes, and anything
// else is a [Refusal]. The call is its name for messages. The caller closes
// the body, unless it got a Range to close.
func Answer(call string, resp *http.Response, off, n int64) (*fetch.Range, error) {
	answer := &fetch.Range{ReadCloser: resp.Body, Off: off, Len: resp.ContentLength, Want: wantOf(resp)}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if err := partial(call, answer, resp.Header.Get("Content-Range"), n); err != nil {
			return nil, err
		}
		return answer, nil
	case http.StatusOK:
		answer.Off = 0
		answer.Want.Size = resp.ContentLength
		return answer, nil
	}
	return nil, Refusal(call, resp)
}

// partial takes in a Content-Range, which must say what was asked for.
func partial(call string, answer *fetch.Range, header string, n int64) error {
	refused := &fetch.CallError{Call: call, Status: http.StatusPartialContent}
	first, last, size, ok := parseContentRange(header)
	switch {
	case !ok || first != answer.Off || n != verify.Unknown && last-first+1 > n:
		refused.Kind = fetch.ErrTemporary
		refused.Message = fmt.Sprintf("the answer has Content-Range %q for %d bytes at %d", header, n, answer.Off)
		return refused
	case size == verify.Unknown:
		refused.Kind = fetch.ErrRefused
		refused.Message = "the store does not say how large the file is"
		return refused
	}
	answer.Len = last - first + 1
	answer.Want.Size = size
	return nil
}
