package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
)

// A refusal is an error in the vendor's words, for any API.
type refusal struct {
	status  int
	code    string
	message string
	headers map[string]string

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

// set gives it a header.
func (e *refusal) set(name, value string) *refusal {
	if e.headers == nil {
		e.headers = map[string]string{}
	}
	e.headers[name] = value
	return e
}

func (e *refusal) header(w http.ResponseWriter, contentType string) {
	w.Header().Set("Content-Type", contentType)
	for name, value := range e.headers {
		w.Header().Set(name, value)
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

// writeXML writes it as the store does, which has no body for HEAD, and tells
// it in a header.
func (e *refusal) writeXML(w http.ResponseWriter, r *http.Request) {
	if e.status == http.StatusNotModified {
		w.WriteHeader(e.status)
		return
	}
	var text bytes.Buffer
	text.WriteString(xml.Header)
	xml.NewEncoder(&text).Encode(struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
		HostID    string `xml:"HostId"`
		Extra     []element
		EC        string `xml:",omitempty"`
	}{Code: e.code, Message: e.message, RequestID: w.Header().Get("x-oss-request-id"), HostID: r.Host, Extra: e.extra, EC: e.ec})
	if e.ec != "" {
		w.Header().Set("x-oss-ec", e.ec)
	}
	if r.Method == http.MethodHead {
		w.Header().Set("x-oss-err", base64.StdEncoding.EncodeToString(text.Bytes()))
	}
	e.header(w, "application/xml")
	w.Write(text.Bytes())
}
