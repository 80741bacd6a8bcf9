package sign

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

const acs3 = "ACS3-HMAC-SHA256"

// IsACS3 reports whether a request is signed with ACS3.
func IsACS3(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), acs3+" ")
}

// The codes are those that the vendor's API gateway (POP) has in common for all
// products.
var rpcErrors = authErrors{
	outOfTime:  {status: 400, code: "InvalidTimeStamp.Expired", message: "Specified time stamp or date value is expired."},
	unknownKey: {status: 404, code: "InvalidAccessKeyId.NotFound", message: "Specified access key is not found."},
	wrongToken: {status: 403, code: "InvalidSecurityToken.MismatchWithAccessKey", message: "Specified SecurityToken mismatch with the AccessKey."},
	mismatched: {status: 400, code: "SignatureDoesNotMatch", message: "Specified signature is not matched with our calculation. server string to sign is:{text}"},
}

// CheckRPC checks a call of an RPC API (DMS, DBS), whose whole body and whose
// parameters, of the query and of a form, are given. It returns the nonce of a
// call that is let in: the caller must refuse a nonce that it has seen.
func (a Account) CheckRPC(r *http.Request, body []byte, parameters url.Values, now time.Time) (nonce string, err *apierr.Error) {
	var c credentials
	if IsACS3(r) {
		nonce = r.Header.Get("x-acs-signature-nonce")
		c, err = readACS3(r, body)
	} else {
		nonce = parameters.Get("SignatureNonce")
		c, err = readRPC(r, parameters)
	}
	if err != nil {
		return "", err
	}
	return nonce, a.verify(c, now, rpcErrors)
}

const rpcTime = "2006-01-02T15:04:05Z"

var rpcDateError = apierr.Error{Status: http.StatusBadRequest, Code: "InvalidTimeStamp.Format", Message: "Specified time stamp or date value is not well formatted."}

// readRPC reads the parameters that V1 signs with (RPC signature 1.0).
func readRPC(r *http.Request, parameters url.Values) (credentials, *apierr.Error) {
	for _, name := range []string{"AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"} {
		if parameters.Get(name) == "" {
			return credentials{}, apierr.New(http.StatusBadRequest, "Missing"+name, "%s is mandatory for this action.", name)
		}
	}
	if method, version := parameters.Get("SignatureMethod"), parameters.Get("SignatureVersion"); method != "HMAC-SHA1" || version != "1.0" {
		return credentials{}, apierr.New(http.StatusBadRequest, "InvalidParameter", "Specified signature method %s or version %s is not valid.", method, version)
	}
	date, bad := parseDate(parameters.Get("Timestamp"), rpcDateError, rpcTime)
	if bad != nil {
		return credentials{}, bad
	}
	signed := maps.Clone(parameters)
	delete(signed, "Signature")
	text := r.Method + "&%2F&" + escape(rpcQuery(signed), "")
	return credentials{
		id: parameters.Get("AccessKeyId"), token: parameters.Get("SecurityToken"), signature: parameters.Get("Signature"), date: date, text: text,
		sign: func(secret string) string {
			return base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(secret+"&"), text))
		},
	}, nil
}

// rpcQuery has the first value of each parameter, in the order of the names.
func rpcQuery(parameters url.Values) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		pairs = append(pairs, escapedPair(name, parameters.Get(name)))
	}
	return strings.Join(pairs, "&")
}

// acs3Mandatory are the headers that a call with ACS3 must have, and sign.
var acs3Mandatory = []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}

// readACS3 reads "ACS3-HMAC-SHA256 Credential=ID,SignedHeaders=A;B,
// Signature=SIGNATURE". Every x-acs-* header and Content-Type must be signed.
func readACS3(r *http.Request, body []byte) (credentials, *apierr.Error) {
	_, authorization := scheme(r)
	given := fields(authorization)
	signed := strings.Split(given["SignedHeaders"], ";")
	for _, name := range acs3Mandatory {
		if header(r, name) == "" {
			return credentials{}, apierr.New(http.StatusBadRequest, "MissingParameter", "The input parameter %q that is mandatory for processing this request is not supplied.", name)
		}
	}
	for _, name := range slices.Concat(acs3Mandatory, headersWith(r.Header, "x-acs-", "content-type")) {
		if !slices.Contains(signed, name) {
			return credentials{}, apierr.New(http.StatusBadRequest, "IncompleteSignature", "The request signature does not conform to Aliyun standards: the header %s is not signed.", name)
		}
	}
	date, bad := parseDate(r.Header.Get("x-acs-date"), rpcDateError, rpcTime)
	if bad != nil {
		return credentials{}, bad
	}
	bodyHash := r.Header.Get("x-acs-content-sha256")
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), rpcQuery(r.URL.Query()), headerLines(r, signed), strings.Join(signed, ";"), bodyHash}, "\n")
	text := acs3 + "\n" + sha256Hex([]byte(canonical))
	return credentials{
		id: given["Credential"], token: r.Header.Get("x-acs-security-token"), signature: given["Signature"], date: date,
		broken: bodyHash != sha256Hex(body), text: text, canonical: canonical,
		sign: func(secret string) string { return hex.EncodeToString(mac(sha256.New, []byte(secret), text)) },
	}, nil
}
