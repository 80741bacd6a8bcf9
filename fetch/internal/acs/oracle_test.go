package acs

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	openapiutil "github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/aliyun/credentials-go/credentials"
)

const oracleHost = "api.example.com:8443"

// Both signatures are those of the vendor's library, of the same call at the same
// time with the same nonce. Names have no characters to escape, as in all calls:
// the library does not escape names under ACS3, against the documentation.
func TestSignaturesAreThoseOfTheVendorsLibrary(t *testing.T) {
	for _, c := range []struct {
		name  string
		query map[string]string
	}{
		{"no parameters", nil},
		{"plain", map[string]string{"OrderId": "11", "PageSize": "50"}},
		{"empty values", map[string]string{"OrderId": "", "A": ""}},
		{"spaces", map[string]string{"A": " a  b ", "B": " "}},
		{"marks", map[string]string{"A": "~-_.!*'()@:$&,/?#[]+=;%25%\\^`{|}<>\"", "B": "a/b//c"}},
		{"controls", map[string]string{"A": "a\tb\r\nc\x00\x7f"}},
		{"other scripts", map[string]string{"A": "导出 é e\u0301 \U0001F600"}},
		{"the order of names", map[string]string{"a": "1", "B": "2", "A.1": "3", "A-1": "4", "A_1": "5", "A": "6", "A10": "7", "A~": "8"}},
	} {
		for _, token := range []string{"", "tok/en+= ~*&"} {
			t.Run(c.name+" "+token, func(t *testing.T) {
				keys := Keys{"LTAI+id", "sec/ret+= ", token, ""}
				want := byTheLibrary(t, "ACS3-HMAC-SHA256", keys, c.query)
				got, values := unsigned(c.query)
				signACS3(got, values, keys, "Query", "2018-11-01", header(want, "x-acs-date"), header(want, "x-acs-signature-nonce"))
				compareCalls(t, got, want)
				for name := range want.Header {
					lower := strings.ToLower(name)
					if isSigned := strings.HasPrefix(lower, "x-acs-") || lower == "authorization"; isSigned && header(got, name) != header(want, name) {
						t.Errorf("%s: got %q, want %q", name, header(got, name), header(want, name))
					}
				}

				want = byTheLibrary(t, "v2", keys, c.query) // so the library calls version 1
				got, values = unsigned(c.query)
				signV1(got, values, keys, "Query", "2018-11-01", want.URL.Query().Get("Timestamp"), want.URL.Query().Get("SignatureNonce"))
				compareCalls(t, got, want)
			})
		}
	}
}

func unsigned(query map[string]string) (*http.Request, url.Values) {
	values := url.Values{}
	for name, value := range query {
		values.Set(name, value)
	}
	return &http.Request{Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: oracleHost, Path: "/"}, Host: oracleHost, Header: http.Header{}}, values
}

func compareCalls(t *testing.T, got, want *http.Request) {
	t.Helper()
	if g, w := got.URL.Query().Encode(), want.URL.Query().Encode(); g != w {
		t.Errorf("got the query\n%s, want\n%s", g, w)
	}
	if got.Method != want.Method || got.URL.Host != want.URL.Host || got.URL.EscapedPath() != want.URL.EscapedPath() {
		t.Errorf("got %s %s, want %s %s", got.Method, got.URL, want.Method, want.URL)
	}
}

// header returns a header whose name the library did not put into its usual case.
func header(req *http.Request, name string) string {
	for key, values := range req.Header {
		if strings.EqualFold(key, name) {
			return strings.Join(values, "\n")
		}
	}
	return ""
}

// byTheLibrary returns a call as the vendor's library would send it.
func byTheLibrary(t *testing.T, algorithm string, keys Keys, query map[string]string) *http.Request {
	t.Helper()
	wire, host := new(recorder), oracleHost
	client, err := openapi.NewClient(&openapi.Config{
		Credential: unnamedCredential{keys: keys}, Protocol: dara.String("https"), Endpoint: &host, SignatureAlgorithm: &algorithm, HttpClient: wire,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CallApiWithCtx(t.Context(), &openapi.Params{
		Action: dara.String("Query"), Version: dara.String("2018-11-01"), Style: dara.String("RPC"), Method: dara.String("POST"), Pathname: dara.String("/"),
		AuthType: dara.String("AK"), ReqBodyType: dara.String("formData"), BodyType: dara.String("none"),
	}, &openapi.OpenApiRequest{Query: openapiutil.Query(query)}, &dara.RuntimeOptions{NoProxy: &host})
	if err != nil || wire.req == nil {
		t.Fatalf("got the request %v, %v", wire.req, err)
	}
	return wire.req
}

// A recorder keeps the request that the library would send.
type recorder struct{ req *http.Request }

func (r *recorder) Call(req *http.Request, _ *http.Transport) (*http.Response, error) {
	r.req = req
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// An unnamedCredential does not say where its keys come from. Of others the library
// tells the vendor that, too.
type unnamedCredential struct {
	credentials.Credential
	keys Keys
}

func (c unnamedCredential) GetType() *string { return dara.String("access_key") }

func (c unnamedCredential) GetCredential() (*credentials.CredentialModel, error) {
	return &credentials.CredentialModel{
		AccessKeyId: &c.keys.AccessKeyID, AccessKeySecret: &c.keys.AccessKeySecret, SecurityToken: &c.keys.SecurityToken, Type: c.GetType(),
	}, nil
}
