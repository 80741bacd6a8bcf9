package sign

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

const sdkHMAC = "SDK-HMAC-SHA256"

// statusDIS is the HTTP status that DIS has in place of 401.
const statusDIS = 441

// IsDIS reports whether a request is signed in the scheme of DIS.
func IsDIS(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), sdkHMAC+" ")
}

const (
	disBadSignature     = "Authorization error: the signature of {id} is not good"
	gatewayBadSignature = "Incorrect IAM authentication information: verify aksk signature fail"
)

// A signature in the form of the service is refused by DIS, and one in that of
// the gateway by the gateway (APIG) before it. The codes are those of their
// pages on error codes.
var (
	disErrors = authErrors{
		outOfTime:  {status: statusDIS, code: "DIS.4105", message: disBadSignature},
		unknownKey: {status: statusDIS, code: "DIS.4107", message: disBadSignature},
		wrongToken: {status: statusDIS, code: "DIS.4114", message: disBadSignature},
		mismatched: {status: statusDIS, code: "DIS.4100", message: disBadSignature},
	}
	gatewayErrors = authErrors{
		outOfTime:  {status: http.StatusUnauthorized, code: "APIGW.0303", message: gatewayBadSignature},
		unknownKey: {status: http.StatusUnauthorized, code: "APIGW.0301", message: gatewayBadSignature},
		wrongToken: {status: http.StatusUnauthorized, code: "APIGW.0301", message: gatewayBadSignature},
		mismatched: {status: http.StatusUnauthorized, code: "APIGW.0301", message: gatewayBadSignature},
	}
)

func disError(code, message string) *apierr.Error {
	return apierr.New(statusDIS, code, "Authorization error: %s", message)
}

// CheckDIS checks a call of DIS, whose whole body is given: its X-Auth-Token if
// it has one, else its signature. The signature is "SDK-HMAC-SHA256 Access=ID,
// SignedHeaders=A;B, Signature=SIGNATURE" in the form of the gateway, and has
// Credential=ID/DAY/REGION/dis/sdk_request in that of the service.
func (a Account) CheckDIS(r *http.Request, body []byte, now time.Time) *apierr.Error {
	if tokens := r.Header.Values("X-Auth-Token"); len(tokens) > 0 {
		switch token := tokens[0]; {
		case token == "":
			return disError("DIS.4113", "the token is empty")
		case a.AuthToken == "" || !equal(token, a.AuthToken):
			return disError("DIS.4114", "the token is invalid")
		}
		return nil
	}
	if !IsDIS(r) {
		return disError("DIS.4101", "the Authorization header is empty")
	}
	_, authorization := scheme(r)
	given := fields(authorization)
	id, scope, derived := strings.Cut(given["Credential"], "/")
	if given["Credential"] == "" {
		id = given["Access"]
	}
	signed := strings.Split(given["SignedHeaders"], ";")
	if id == "" || given["Signature"] == "" || !slices.Contains(signed, "x-sdk-date") {
		return disError("DIS.4109", "it must contain {Credential,SignedHeaders,Signature;}")
	}
	dateText := r.Header.Get("X-Sdk-Date")
	date, bad := parseDate(dateText, *disError("DIS.4104", "X-Sdk-Date cannot be read"), basicTime)
	if bad != nil {
		return bad
	}
	errors := gatewayErrors
	if derived {
		errors = disErrors
		if bad := checkSDKScope(scope, dateText[:8]); bad != nil {
			return bad
		}
	}
	bodyHash := sha256Hex(body)
	givenHash := cmp.Or(r.Header.Get("X-Sdk-Content-Sha256"), bodyHash)
	return a.verify(credentials{
		id: id, token: r.Header.Get("X-Security-Token"), signature: given["Signature"], date: date, broken: givenHash != bodyHash,
		sign: func(secret string) string { return sdkSign(r, signed, givenHash, secret, scope, given["Signature"]) },
	}, now, errors)
}

func checkSDKScope(scope, day string) *apierr.Error {
	parts := strings.Split(scope, "/")
	switch {
	case len(parts) != 4 || parts[0] != day || parts[3] != "sdk_request":
		return disError("DIS.4102", "the credential scope cannot be read")
	case parts[1] == "":
		return disError("DIS.4111", "the region is invalid")
	case parts[2] != "dis":
		return disError("DIS.4108", "the service name is empty or not dis")
	}
	return nil
}

// sdkSign returns the signature that the given one should be. Some of the
// vendor's SDKs end the path in a slash and some do not, so there are two
// canonical requests: if the given signature is of the first it is returned,
// else that of the second is. Without a scope it is that of the gateway's form.
func sdkSign(r *http.Request, signed []string, bodyHash, secret, scope, given string) (signature string) {
	pairs := queryPairs(r.URL.Query(), escapedPair)
	slices.Sort(pairs)
	date, path := r.Header.Get("X-Sdk-Date"), strings.TrimRight(r.URL.EscapedPath(), "/")
	for _, end := range []string{"/", ""} {
		request := strings.Join([]string{
			r.Method, path + end, strings.Join(pairs, "&"), headerLines(r, signed), strings.Join(signed, ";"), bodyHash,
		}, "\n")
		if scope == "" {
			text := sdkHMAC + "\n" + date + "\n" + sha256Hex([]byte(request))
			signature = hex.EncodeToString(mac(sha256.New, []byte(secret), text))
		} else {
			signature = scopedSign("SDK"+secret, scope, scopedText(sdkHMAC, date, scope, request))
		}
		if equal(signature, given) {
			return signature
		}
	}
	return signature
}
