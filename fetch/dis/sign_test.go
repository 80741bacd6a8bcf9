package dis

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

const (
	docAK = "QTWAOYTTINDUT2QVKYUC"
	docSK = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
)

// The vendor's vectors have headers of their own, so these requests skip the part
// of a signer that sets ours.
func TestSignaturesMatchTheVendorsVectors(t *testing.T) {
	sdk := Keys{AccessKey: "AccessKey", SecretKey: "SecretKey"}
	const logBody = `{"order":"desc","sortBy":"createTimeStr"}`
	ours := []string{"X-Project-Id", "575ae927fc644f22b5c5af5209b7cf51", "X-Sdk-Date", "20260102T030405Z"}
	for _, c := range []struct {
		name, form, method, address, body string
		host                              string
		headers                           []string
		keys                              Keys
		want                              string
	}{
		{"the SDK's GET", "plain", "GET", "/path?limit=1", "", "", []string{"X-Sdk-Date", "20060102T150405Z"}, sdk,
			"Access=AccessKey, SignedHeaders=x-sdk-date, Signature=5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624"},
		{"the SDK's POST", "plain", "POST", "/path?key=value", "{\"Name\":\"test\",\"Id\":1}\n", "", []string{"X-Sdk-Date", "20060102T150405Z"}, sdk,
			"Access=AccessKey, SignedHeaders=x-sdk-date, Signature=cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59"},
		{"the manual's", "plain", "GET", "/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?marker=13551d6b-755d-4757-b956-536f674975c0&limit=2", "", "service.region.example.com",
			[]string{"Content-Type", "application/json", "X-Sdk-Date", "20191115T033655Z"}, Keys{AccessKey: docAK, SecretKey: docSK},
			"Access=" + docAK + ", SignedHeaders=content-type;host;x-sdk-date, Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"},
		{"a log, plain", "plain", "POST", "/v1/transfertasklog/CDaRPdvKUfZrAhzTaYs", logBody, "dis.cn-north-4.myhuaweicloud.com", append(ours, "Content-Type", "application/json"), sdk,
			"Access=AccessKey, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature=6a7d55f883dab7c9e0ecde22f881c60f8324c66d18f7070d09900e0d7a948621"},
		{"a log, plain, with temporary keys", "plain", "POST", "/v1/transfertasklog/CDaRPdvKUfZrAhzTaYs", logBody, "dis.cn-north-4.myhuaweicloud.com", append(ours, "X-Security-Token", "tok"), sdk,
			"Access=AccessKey, SignedHeaders=host;x-project-id;x-sdk-date;x-security-token, Signature=c2aad9f3a55fc719175bfc894290de2c6672390b7b3d9277b061a5049ec80db1"},
		{"an odd query, plain, as its SDK for JavaScript signs it", "plain", "GET", "/v1/transfertasklog/CDaRPdvKUfZrAhzTaYs?limit=2&marker=a+b%2F%2B~%2A%27%28%29%21%C3%A4", "",
			"dis.cn-north-4.myhuaweicloud.com", append(ours, "Content-Type", "application/json", "X-Security-Token", "tok"), sdk,
			"Access=AccessKey, SignedHeaders=content-type;host;x-project-id;x-sdk-date;x-security-token, Signature=3c4ca5cf894d12e0d2f08fcb397fffc7bc257b0792888d9fa0d7d3332a9db3fe"},
		{"a log, derived", "derived", "POST", "/v1/transfertasklog/CDaRPdvKUfZrAhzTaYs", logBody, "dis.cn-north-4.myhuaweicloud.com", append(ours, "Content-Type", "application/json"), sdk,
			"Credential=AccessKey/20260102/cn-north-4/dis/sdk_request, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature=d08ae867c866f93b7786ea6d1e9a3ebf5115d9cbc453bdd43e3aa2cb1bce0c41"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := url.Parse(c.address)
			if err != nil {
				t.Fatal(err)
			}
			req := &http.Request{Method: c.method, URL: u, Host: c.host, Header: http.Header{}}
			for i := 0; i < len(c.headers); i += 2 {
				req.Header.Set(c.headers[i], c.headers[i+1])
			}
			signers[c.form](req, []byte(c.body), c.keys, "cn-north-4")
			if got := req.Header.Get("Authorization"); got != "SDK-HMAC-SHA256 "+c.want {
				t.Errorf("got  %s\nwant SDK-HMAC-SHA256 %s", got, c.want)
			}
		})
	}
}

func TestAQueryIsSignedInOrderAndEscaped(t *testing.T) {
	if got, want := canonicalQuery(url.Values{"b": {"2", "1"}, "a b": {"ä+~*"}, "B": {""}}), "B=&a%20b=%C3%A4%2B~%2A&b=1&b=2"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDerivedIsTheDefault(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600))
	sign := func(form string) string {
		req, _ := http.NewRequest("GET", "https://h/p", nil)
		signers[form].sign(req, nil, at, testKeys, "r")
		if req.Header.Get("X-Sdk-Date") != "20260102T020405Z" || req.Header.Get("X-Project-Id") == "" || req.Header.Get("X-Security-Token") == "" {
			t.Errorf("got %v", req.Header)
		}
		return req.Header.Get("Authorization")
	}
	if sign("") != sign("derived") || sign("") == sign("plain") {
		t.Error(sign(""), sign("plain"))
	}
}
