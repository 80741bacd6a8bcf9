package sandbox

import (
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const rpcTime = "2006-01-02T15:04:05Z"

// A rpcClaim is a claim that is good for one request.
type rpcClaim struct {
	claim
	nonce string
}

// judgeRPC finds a call good, or says what the vendor says against it.
func (c *Cloud) judgeRPC(q rpc) *refusal {
	read := readRPC
	if q.isACS3() {
		read = readACS3
	}
	claim, bad := read(q)
	if bad != nil {
		return bad
	}
	switch c.weigh(claim.claim) {
	case outOfTime:
		return refuse(http.StatusBadRequest, "InvalidTimeStamp.Expired", "Specified time stamp or date value is expired.")
	case unknownKey:
		return refuse(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	case wrongToken:
		return refuse(http.StatusForbidden, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch with the AccessKey.")
	case mismatched:
		return refuse(http.StatusBadRequest, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation. server string to sign is:%s", claim.text)
	}
	return c.once(claim.nonce)
}

// once lets a nonce pass that has not been used for as long as its date would
// be believed.
func (c *Cloud) once(nonce string) *refusal {
	now := c.options.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for used, when := range c.nonces {
		if now.Sub(when) > 2*skew {
			delete(c.nonces, used)
		}
	}
	if _, used := c.nonces[nonce]; used {
		return refuse(http.StatusBadRequest, "SignatureNonceUsed", "Specified signature nonce was used already.")
	}
	c.nonces[nonce] = now
	return nil
}

// readRPC reads the parameters that V1 signs with.
func readRPC(q rpc) (rpcClaim, *refusal) {
	for _, name := range []string{"AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "Timestamp"} {
		if q.values.Get(name) == "" {
			return rpcClaim{}, missing(name)
		}
	}
	if method, version := q.values.Get("SignatureMethod"), q.values.Get("SignatureVersion"); method != "HMAC-SHA1" || version != "1.0" {
		return rpcClaim{}, refuse(http.StatusBadRequest, "InvalidParameter", "Specified signature method %s or version %s is not valid.", method, version)
	}
	when, bad := rpcDate(q.values.Get("Timestamp"))
	if bad != nil {
		return rpcClaim{}, bad
	}
	text := rpcText(q.Method, q.values)
	return rpcClaim{claim{
		id: q.values.Get("AccessKeyId"), token: q.values.Get("SecurityToken"), signature: q.values.Get("Signature"),
		date: when, sound: true, text: text,
		sign: func(secret string) string {
			return base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(secret+"&"), text))
		},
	}, q.values.Get("SignatureNonce")}, nil
}

func rpcDate(text string) (time.Time, *refusal) {
	when, err := time.Parse(rpcTime, text)
	if err != nil {
		return when, refuse(http.StatusBadRequest, "InvalidTimeStamp.Format", "Specified time stamp or date value is not well formatted.")
	}
	return when, nil
}

// rpcText is the text that V1 signs.
func rpcText(method string, values url.Values) string {
	return method + "&%2F&" + escaped(rpcQuery(values, "Signature"), "")
}

// rpcQuery is the parameters in order, but for one.
func rpcQuery(values url.Values, but string) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name != but {
			pairs = append(pairs, escaped(name, "")+"="+escaped(values.Get(name), ""))
		}
	}
	return strings.Join(pairs, "&")
}
