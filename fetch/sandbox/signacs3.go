package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const acs3 = "ACS3-HMAC-SHA256"

// acs3Signed are the headers that a call must have, and sign.
var acs3Signed = []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}

func (r rpc) isACS3() bool {
	return strings.HasPrefix(r.Header.Get("Authorization"), acs3+" ")
}

// readACS3 reads "ACS3-HMAC-SHA256 Credential=ID,SignedHeaders=A;B,
// Signature=SIGNATURE".
func readACS3(q rpc) (rpcClaim, *refusal) {
	said := fields(strings.TrimPrefix(q.Header.Get("Authorization"), acs3+" "))
	signed := strings.Split(said["SignedHeaders"], ";")
	if bad := q.checkSigned(signed); bad != nil {
		return rpcClaim{}, bad
	}
	when, bad := rpcDate(q.Header.Get("x-acs-date"))
	if bad != nil {
		return rpcClaim{}, bad
	}
	hash := q.Header.Get("x-acs-content-sha256")
	canonical := acs3Request(q, signed, hash)
	text := acs3Text(canonical)
	return rpcClaim{claim{
		id: said["Credential"], token: q.Header.Get("x-acs-security-token"), signature: said["Signature"],
		date: when, sound: hash == fmt.Sprintf("%x", sha256.Sum256(q.body)), text: text, canonical: canonical,
		sign: func(secret string) string { return hex.EncodeToString(mac(sha256.New, []byte(secret), text)) },
	}, q.Header.Get("x-acs-signature-nonce")}, nil
}

// checkSigned asks that every header there is to sign was signed.
func (r rpc) checkSigned(signed []string) *refusal {
	for _, name := range acs3Signed {
		if r.header(name) == "" {
			return refuse(http.StatusBadRequest, "MissingParameter", "The input parameter %q that is mandatory for processing this request is not supplied.", name)
		}
	}
	due := slices.Clone(acs3Signed)
	for name := range headersWith(r.Header, "x-acs-", "content-type") {
		due = append(due, name)
	}
	for _, name := range due {
		if !slices.Contains(signed, name) {
			return refuse(http.StatusBadRequest, "IncompleteSignature", "The request signature does not conform to Aliyun standards: the header %s is not signed.", name)
		}
	}
	return nil
}

func (r rpc) header(name string) string {
	if name == "host" {
		return r.Host
	}
	return strings.TrimSpace(r.Header.Get(name))
}

func acs3Request(q rpc, signed []string, hash string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n%s\n", q.Method, q.URL.EscapedPath(), rpcQuery(q.URL.Query(), ""))
	for _, name := range signed {
		fmt.Fprintf(&b, "%s:%s\n", name, q.header(name))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(signed, ";"), hash)
	return b.String()
}

func acs3Text(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return acs3 + "\n" + hex.EncodeToString(sum[:])
}
