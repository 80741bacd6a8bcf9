package oss

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"

	"tallyman/fetch"
	"tallyman/fetch/web"
)

// refused is the error of an answer that is no success. What the SDK made of
// it is asked only for what the shared classification does not read.
func (c call) refused(resp *http.Response, err error) error {
	call := web.Refusal(c.name, resp)
	said, _ := errors.AsType[oss.ServiceError](err)
	explain(call, elsewhere(said.Endpoint, c.at.hint))
	return call
}

// explain adds what helps, and what a call that is signed with keys means
// otherwise than a URL.
func explain(call *fetch.CallError, elsewhere string) {
	var hint string
	switch {
	case call.Code == "AccessDenied" && strings.Contains(call.Message, "specified endpoint"):
		call.Kind, hint = fetch.ErrRefused, elsewhere
	case call.Code == "InvalidObjectState":
		hint = "it is archived: restore it first"
	case call.Code == "RequestTimeTooSkewed", call.Code == "AccessDenied" && errors.Is(call.Kind, fetch.ErrExpired): // it was made just now
		hint = "check this machine's clock"
	case call.Status/100 == 3:
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
func elsewhere(endpoint, hint string) string {
	host, ok := strings.CutSuffix(endpoint, ".aliyuncs.com")
	region, named := strings.CutPrefix(strings.TrimSuffix(host, "-internal"), "oss-")
	if !ok || !named || !label.MatchString(region) {
		return ""
	}
	return fmt.Sprintf("the bucket is at %s: %s", endpoint, strings.ReplaceAll(cmp.Or(hint, inReference), "REGION", region))
}
