package sandbox

import (
	"cmp"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// An rpc is one call of an API where each operation is an Action, and its
// parameters are in the query or in a form.
type rpc struct {
	*http.Request
	body   []byte
	values url.Values
	id     string // of the request
}

// An rpcAnswer is told as JSON, or as XML of its own name.
type rpcAnswer any

// rpcs are known by their action. Each has the cloud's lock.
var rpcs = map[string]struct {
	version string
	answer  func(*Cloud, rpc) (rpcAnswer, *refusal)
}{
	"QueryDataTrackResultDownloadStatus":   {rpcVersion, (*Cloud).queryDownload},
	"DescribeDownloadTask":                 {dbsVersion, (*Cloud).describeDownloadTask},
	"DescribeDownloadBackupSetStorageInfo": {dbsVersion, (*Cloud).describeStorageInfo},
}

const rpcVersion = "2018-11-01"

func isRPC(r *http.Request) bool {
	return r.URL.Path == "/" && (r.Header.Get("x-acs-action") != "" || r.URL.Query().Has("Action") ||
		r.Method == http.MethodPost && !strings.HasPrefix(r.Header.Get("Authorization"), "OSS"))
}

// parameter is one of those that both signatures have: a header of ACS3, a
// value of V1.
func (r rpc) parameter(header, name string) string {
	return cmp.Or(r.Header.Get(header), r.values.Get(name))
}

func (r rpc) action() string { return r.parameter("x-acs-action", "Action") }

// plain says whether the answer is to be JSON: V1 tells in Format, and has XML
// where it does not.
func (r rpc) plain() bool {
	return r.isACS3() || strings.EqualFold(r.values.Get("Format"), "JSON")
}

func (c *Cloud) serveRPC(w http.ResponseWriter, r *http.Request) {
	q := rpc{Request: r, values: r.URL.Query(), id: callID()}
	w.Header().Set("x-acs-request-id", q.id)
	answer, bad := c.answerRPC(w, q)
	if bad != nil {
		c.countRefusal(bad.code)
		for name, value := range bad.headers {
			w.Header().Set(name, value)
		}
		answer = bad.rpc(q)
	}
	q.send(w, bad, answer)
}

// readForm adds the parameters that are in the body.
func (r *rpc) readForm(w http.ResponseWriter) *refusal {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		return refuse(http.StatusRequestEntityTooLarge, "RequestTooLarge", "The request is too large.")
	}
	r.body = body
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return refuse(http.StatusBadRequest, "InvalidParameter", "The form cannot be read: %v", err)
	}
	for name, values := range form {
		r.values[name] = append(r.values[name], values...)
	}
	return nil
}

// answerRPC judges the caller before it looks at what is asked for.
func (c *Cloud) answerRPC(w http.ResponseWriter, q rpc) (rpcAnswer, *refusal) {
	bad := q.readForm(w)
	operation, known := rpcs[q.action()]
	if !known {
		c.countCall(unknownCall)
	} else {
		c.countCall(q.action())
	}
	if bad == nil {
		bad = c.judgeRPC(q)
	}
	switch {
	case bad != nil:
		return nil, bad
	case !known:
		return nil, refuse(http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
	case q.parameter("x-acs-version", "Version") != operation.version:
		return nil, refuse(http.StatusBadRequest, "InvalidVersion", "Specified parameter Version is not valid.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return operation.answer(c, q)
}

// rpcError is how every operation tells of an error.
type rpcError struct {
	XMLName   xml.Name `json:"-" xml:"Error"`
	RequestID string   `json:"RequestId" xml:"RequestId"`
	HostID    string   `json:"HostId" xml:"HostId"`
	Code      string
	Message   string
	Recommend string
}

func (e *refusal) rpc(q rpc) rpcError {
	return rpcError{RequestID: q.id, HostID: q.Host, Code: e.code, Message: e.message,
		Recommend: "https://api.aliyun.com/troubleshoot?q=" + url.QueryEscape(e.code)}
}

func (r rpc) send(w http.ResponseWriter, bad *refusal, answer rpcAnswer) {
	status := http.StatusOK
	if bad != nil {
		status = bad.status
	}
	if r.plain() {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		w.WriteHeader(status)
		writeJSON(w, answer)
		return
	}
	w.Header().Set("Content-Type", "text/xml;charset=utf-8")
	w.WriteHeader(status)
	io.WriteString(w, "<?xml version='1.0' encoding='UTF-8'?>")
	xml.NewEncoder(w).Encode(answer)
}

func callID() string {
	var b [16]byte
	rand.Read(b[:])
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
