package sandbox

import (
	"encoding/xml"
	"fmt"
	"net/http"
)

// A refusal is an error in the vendor's words, for either plane.
type refusal struct {
	status     int
	code       string
	message    string
	retryAfter string

	ec    string // the store's own number for it
	extra []element
}

// An element is what the store adds to one kind of error.
type element struct {
	XMLName xml.Name
	Text    string `xml:",chardata"`
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func (e *refusal) with(name, text string) *refusal {
	e.extra = append(e.extra, element{xml.Name{Local: name}, text})
	return e
}

// numbered gives it the store's own number.
func (e *refusal) numbered(ec string) *refusal {
	e.ec = ec
	return e
}

// after asks for a pause of so many seconds.
func (e *refusal) after(seconds string) *refusal {
	e.retryAfter = seconds
	return e
}

func (e *refusal) header(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	if e.retryAfter != "" {
		w.Header().Set("Retry-After", e.retryAfter)
	}
	w.WriteHeader(e.status)
}

// writeJSON writes it as the job API does.
func (e *refusal) writeJSON(w http.ResponseWriter) {
	e.header(w, "application/json")
	writeJSON(w, struct {
		Code    string `json:"errorCode"`
		Message string `json:"errorMessage"`
	}{e.code, e.message})
}

// writeXML writes it as the store does.
func (e *refusal) writeXML(w http.ResponseWriter, host string) {
	body := struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestId string
		HostId    string
		Extra     []element
		EC        string `xml:",omitempty"`
	}{Code: e.code, Message: e.message, RequestId: w.Header().Get("x-oss-request-id"), HostId: host, Extra: e.extra, EC: e.ec}
	if e.ec != "" {
		w.Header().Set("x-oss-ec", e.ec)
	}
	e.header(w, "application/xml")
	fmt.Fprint(w, xml.Header)
	xml.NewEncoder(w).Encode(body)
}
