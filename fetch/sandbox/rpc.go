package sandbox

import (
	"cmp"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"tallyman/fetch/sandbox/internal/apierr"
	"tallyman/fetch/sandbox/internal/sign"
)

// An rpcCall is one call of an API where each operation is an Action, and its
// parameters are in the query or in a form.
type rpcCall struct {
	*http.Request
	parameters url.Values
	id         string // of the request
}

const (
	dmsVersion = "2018-11-01"
	dbsVersion = "2021-01-01"
)

// rpcOperations are known by their Action. An answer is written as JSON, or as
// XML with its own XMLName. Each has the cloud's lock.
var rpcOperations = map[string]struct {
	version string
	answer  func(*Cloud, rpcCall) (any, *apierr.Error)
}{
	"QueryDataTrackResultDownloadStatus":   {dmsVersion, (*Cloud).queryDownloadStatus},
	"DescribeDownloadTask":                 {dbsVersion, (*Cloud).describeDownloadTask},
	"DescribeDownloadBackupSetStorageInfo": {dbsVersion, (*Cloud).describeStorageInfo},
}

// An rpcError is the answer of every operation to a call in error.
type rpcError struct {
	XMLName   xml.Name `json:"-" xml:"Error"`
	RequestID string   `json:"RequestId" xml:"RequestId"`
	HostID    string   `json:"HostId" xml:"HostId"`
	Code      string
	Message   string
	Recommend string
}

// serveRPC answers in JSON to ACS3, and to V1 if Format asks for it; else in XML.
func (c *Cloud) serveRPC(w http.ResponseWriter, r *http.Request) {
	var b [16]byte
	rand.Read(b[:])
	q := rpcCall{Request: r, parameters: r.URL.Query(), id: fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])}
	w.Header().Set("x-acs-request-id", q.id)
	answer, bad := c.answerRPC(w, q)
	asJSON, contentType := sign.IsACS3(r) || strings.EqualFold(q.parameters.Get("Format"), "JSON"), "text/xml;charset=utf-8"
	if asJSON {
		contentType = "application/json;charset=utf-8"
	}
	if bad == nil {
		w.Header().Set("Content-Type", contentType)
	} else {
		c.writeErrorHeader(w, bad, contentType)
		answer = rpcError{RequestID: q.id, HostID: q.Host, Code: bad.Code, Message: bad.Message,
			Recommend: "https://api.aliyun.com/troubleshoot?q=" + url.QueryEscape(bad.Code)}
	}
	if asJSON {
		writeJSON(w, answer)
		return
	}
	io.WriteString(w, "<?xml version='1.0' encoding='UTF-8'?>")
	xml.NewEncoder(w).Encode(answer)
}

// answerRPC checks the signature before it looks at what is asked for.
func (c *Cloud) answerRPC(w http.ResponseWriter, q rpcCall) (any, *apierr.Error) {
	body, bad := q.readBody(w)
	action := cmp.Or(q.Header.Get("x-acs-action"), q.parameters.Get("Action"))
	operation, known := rpcOperations[action]
	if !known {
		action = unknownOperation
	}
	c.count(func(n *Counts) { n.Calls[action]++ })
	if bad != nil {
		return nil, bad
	}
	nonce, bad := c.account.CheckRPC(q.Request, body, q.parameters, c.options.Now())
	if bad != nil {
		return nil, bad
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.useNonce(nonce):
		return nil, apierr.New(http.StatusBadRequest, "SignatureNonceUsed", "Specified signature nonce was used already.")
	case !known:
		return nil, apierr.New(http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
	case cmp.Or(q.Header.Get("x-acs-version"), q.parameters.Get("Version")) != operation.version:
		return nil, apierr.New(http.StatusBadRequest, "InvalidVersion", "Specified parameter Version is not valid.")
	}
	return operation.answer(c, q)
}

// readBody reads the body, and adds the parameters of a form to those of the
// query.
func (q rpcCall) readBody(w http.ResponseWriter) ([]byte, *apierr.Error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, q.Body, maxBody))
	if err != nil {
		return nil, apierr.New(http.StatusRequestEntityTooLarge, "RequestTooLarge", "The request is too large.")
	}
	if !strings.HasPrefix(q.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return body, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, apierr.New(http.StatusBadRequest, "InvalidParameter", "The form cannot be read: %v", err)
	}
	for name, values := range form {
		q.parameters[name] = append(q.parameters[name], values...)
	}
	return body, nil
}

// useNonce reports whether a nonce is new. A nonce is kept for as long as a
// request with the date of its use could be let in. It needs the lock.
func (c *Cloud) useNonce(nonce string) bool {
	now := c.options.Now()
	for used, at := range c.nonces {
		if now.Sub(at) > 2*sign.MaxSkew {
			delete(c.nonces, used)
		}
	}
	if _, used := c.nonces[nonce]; used {
		return false
	}
	c.nonces[nonce] = now
	return true
}

// parameter returns a mandatory parameter.
func (q rpcCall) parameter(name string) (string, *apierr.Error) {
	value := q.parameters.Get(name)
	if value == "" {
		return "", apierr.New(http.StatusBadRequest, "Missing"+name, "%s is mandatory for this action.", name)
	}
	return value, nil
}

// count returns a parameter that is a number from 1 on.
func (q rpcCall) count(name string, otherwise int) (n int, ok bool) {
	text := q.parameters.Get(name)
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0
}

// A Failure is an answer of DMS or DBS, with HTTP status 200, that says that the
// call failed.
type Failure struct {
	Code, Message string
	Times         int // how many calls it answers. 0 = none, -1 = all
}

// rpcFaults are how often the errors that an Order, an Instance or a Task is
// to answer first have occurred.
type rpcFaults struct{ unavailable, throttled, failed int }

// next returns the error of the next call, or whether it is to fail as f says.
func (n *rpcFaults) next(unavailable, throttles int, f Failure) (bad *apierr.Error, fails bool) {
	switch {
	case occurs(unavailable, &n.unavailable):
		return apierr.New(http.StatusServiceUnavailable, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."), false
	case occurs(throttles, &n.throttled):
		return apierr.New(http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control.").
			WithHeader("x-ratelimit-user-api", "Limit:1,Remain:0,TimeLeft:700,Reset:1"), false
	}
	return nil, occurs(f.Times, &n.failed)
}

func successField(yes, asText bool) any {
	if asText {
		return strconv.FormatBool(yes)
	}
	return yes
}
