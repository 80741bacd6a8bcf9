// Package apierr describes an error that a vendor's API answers with. It does
// not know the format that the error is written in: that is one for each API.
package apierr

import (
	"encoding/xml"
	"fmt"
)

// An Error is one error answer. Code and Message are the vendor's own words.
type Error struct {
	Status  int // of HTTP
	Code    string
	Message string
	Headers map[string]string // the answer has these headers besides

	EC      string   // OSS: the number of the cause (x-oss-ec). "" = none
	Details []Detail // OSS and OBS: further elements of the XML
}

// A Detail is one further element of an XML error, such as <Bucket>.
type Detail struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

// New returns an error whose message is made as by fmt.Sprintf.
func New(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// WithEC sets the number that OSS gives the cause, and returns e.
func (e *Error) WithEC(ec string) *Error {
	e.EC = ec
	return e
}

// WithDetail adds an element to the XML of e, and returns e.
func (e *Error) WithDetail(name, text string) *Error {
	e.Details = append(e.Details, Detail{xml.Name{Local: name}, text})
	return e
}

// WithHeader sets a header of the answer, and returns e.
func (e *Error) WithHeader(name, value string) *Error {
	if e.Headers == nil {
		e.Headers = map[string]string{}
	}
	e.Headers[name] = value
	return e
}
