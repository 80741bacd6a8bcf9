package obs

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/web"
)

// meanings are what codes mean here, where that is not what package web takes
// those of all stores for, and what helps.
var meanings = map[string]struct {
	kind error // nil: as everywhere
	hint string
}{
	"InvalidObjectState":           {nil, "it is archived: restore it first"},
	"RequestTimeTooSkewed":         {fetch.ErrAuth, "check this machine's clock"},
	"TooManyWrongSignature":        {nil, "the key is blocked for a while: correct it before trying again"},
	"InvalidToken":                 {fetch.ErrAuth, ""},
	"AuthorizationHeaderMalformed": {nil, "check the region that the bucket is asked in"},
	"TemporaryRedirect":            {fetch.ErrTemporary, "its name has yet to spread"},
}

// refused is the error of an answer that is no success.
func (c call) refused(resp *http.Response) error {
	var said struct{ Endpoint string }
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // what came of it is all that it says
	_ = xml.Unmarshal(body, &said)                               // and what is not XML says nothing
	resp.Body = io.NopCloser(bytes.NewReader(body))
	call := web.Refusal(c.name, resp)
	call.RequestID = cmp.Or(call.RequestID, resp.Header.Get("X-Amz-Request-Id"))
	explain(call, elsewhere(said.Endpoint, c.at.hint))
	return call
}

// maxRefusal is how much is read of an answer that is no success.
const maxRefusal = 64 << 10

// explain adds what helps.
func explain(call *fetch.CallError, elsewhere string) {
	meaning, known := meanings[call.Code]
	call.Kind = cmp.Or(meaning.kind, call.Kind)
	if call.Code == "AccessDenied" && errors.Is(call.Kind, fetch.ErrExpired) { // it was made just now
		meaning.hint = meanings["RequestTimeTooSkewed"].hint
	}
	hint := cmp.Or(elsewhere, meaning.hint)
	if hint == "" && !known && call.Status/100 == 3 {
		hint = "a redirect is not followed"
	}
	if hint != "" && call.Message != "" {
		hint = strings.TrimSuffix(call.Message, ".") + "; " + hint
	}
	call.Message = cmp.Or(hint, call.Message)
	if errors.Is(call.Kind, fetch.ErrExpired) {
		call.Kind = fetch.ErrAuth // there is no URL: the keys have expired, and those of now were asked for
	}
}

// inReference is what to do about a bucket in another region unless a Selection
// has a hint of its own.
const inReference = "add ?region=REGION to the reference"

// elsewhere names the endpoint that a bucket has, and how to ask in its region.
// It may come with the bucket as its first label.
func elsewhere(endpoint, hint string) string {
	host, ok := strings.CutSuffix(endpoint, ".myhuaweicloud.com")
	i := strings.LastIndex("."+host, ".obs.")
	if !ok || i < 0 {
		return ""
	}
	region := host[i+len("obs."):]
	if !regions.MatchString(region) {
		return ""
	}
	return fmt.Sprintf("the bucket is at obs.%s.myhuaweicloud.com: %s", region, strings.ReplaceAll(cmp.Or(hint, inReference), "REGION", region))
}
