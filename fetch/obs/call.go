package obs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-obs/obs"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/internal/huawei"
	"tallyman/fetch/internal/objstore"
	"tallyman/fetch/redact"
)

// A call is one signed GET: GetObject, or ListObjects if there is no key.
type call struct {
	name   string // in errors
	at     *bucketAddress
	key    string
	list   obs.ListObjsInput
	marker string
	header map[string]string // without a signature, since proxies change some of them
}

// get makes a call, once. What it returns is a success, whose body the caller
// closes.
func (s *Store) get(ctx context.Context, c call) (*http.Response, error) {
	find := s.Keys
	if find == nil {
		find = ProfileKeys("")
	}
	keys, err := find(ctx)
	redact.Add(keys.Secrets()...)
	if err == nil && (keys.AccessKey == "" || keys.SecretKey == "") {
		err = huawei.ErrNoKeys // the SDK would send the call without a signature
	}
	if err != nil {
		return nil, err
	}
	req, err := c.request(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("%s: sign: %w", c.name, err)
	}
	resp, err := api.Transport(s.Client).RoundTrip(req)
	if err != nil {
		return nil, fetch.TransportError(ctx, c.name, err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		refusal, endpoint := objstore.Refusal(c.name, resp)
		refusal.RequestID = cmp.Or(refusal.RequestID, resp.Header.Get("X-Amz-Request-Id"))
		objstore.Explain(refusal, meanings, elsewhere(endpoint, c.at.hint))
		return nil, refusal
	}
	return resp, nil
}

// A recorder is a transport that keeps a request and sends nothing.
type recorder struct{ req *http.Request }

var errNotSent = errors.New("the request is not to be sent")

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.req = req.Clone(req.Context())
	return nil, errNotSent
}

// request has the SDK make and sign the request of a call. A client of the SDK is
// cheap, and holds the context and the keys of one call.
func (c call) request(ctx context.Context, keys Keys) (*http.Request, error) {
	var made recorder
	client, err := obs.New(keys.AccessKey, keys.SecretKey, c.at.endpoint.String(),
		obs.WithSecurityToken(keys.SecurityToken),
		obs.WithSignature(c.at.signature),
		obs.WithPathStyle(c.at.pathStyle),
		obs.WithRegion(cmp.Or(c.at.region, anyRegion)),
		obs.WithUserAgent("tallyman"),
		obs.WithHttpClient(&http.Client{Transport: &made}),
		obs.WithMaxRetryCount(0),
		obs.WithRequestContext(ctx),
	)
	if err != nil {
		return nil, err
	}
	if c.key == "" {
		_, err = client.ListObjects(&obs.ListObjectsInput{Bucket: c.at.bucket, ListObjsInput: c.list, Marker: c.marker})
	} else {
		object := obs.GetObjectMetadataInput{Bucket: c.at.bucket, Key: c.key}
		_, err = client.GetObject(&obs.GetObjectInput{GetObjectMetadataInput: object})
	}
	if made.req == nil {
		return nil, cmp.Or(err, errors.New("the SDK made no request"))
	}
	if c.at.signature == obs.SignatureV4 {
		c.at.signAgain(made.req, keys)
	}
	made.req.Header.Set("Accept-Encoding", "identity")
	for name, value := range c.header {
		made.req.Header.Set(name, value)
	}
	return made.req, nil
}

// signAgain signs what the SDK made once more by V4, with the SDK's own function.
// As the SDK leaves it, some stores refuse it: the date is in the Date header
// only, and a space in the query is a plus sign.
func (at *bucketAddress) signAgain(req *http.Request, keys Keys) {
	req.URL.RawQuery = strings.ReplaceAll(req.URL.RawQuery, "+", "%20")
	signed := map[string][]string{
		"host":                 {req.Host},
		"x-amz-date":           {time.Now().UTC().Format(obs.LONG_DATE_FORMAT)},
		"x-amz-content-sha256": {obs.UNSIGNED_PAYLOAD},
	}
	if keys.SecurityToken != "" {
		signed["x-amz-security-token"] = []string{keys.SecurityToken}
	}
	auth := obs.V4Auth(keys.AccessKey, keys.SecretKey, cmp.Or(at.region, anyRegion), req.Method, cmp.Or(req.URL.EscapedPath(), "/"), req.URL.RawQuery, signed)
	req.Header = http.Header{"User-Agent": req.Header["User-Agent"]}
	for name, values := range signed {
		if name != "host" {
			req.Header.Set(name, values[0])
		}
	}
	req.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s, SignedHeaders=%s, Signature=%s",
		obs.V4_HASH_PREFIX, auth["Credential"], auth["SignedHeaders"], auth["Signature"]))
}

// source reads the version of an object that has that ETag, or any if it is "".
func (s *Store) source(at *bucketAddress, key, etag string) *objstore.Source {
	name := "GetObject obs://" + at.bucket + "/" + objstore.Printable(key)
	return &objstore.Source{Call: name, ETag: etag, Get: func(ctx context.Context, byteRange, ifMatch string) (*http.Response, error) {
		header := map[string]string{}
		if byteRange != "" {
			header["Range"] = byteRange
		}
		if ifMatch != "" {
			header["If-Match"] = ifMatch
			if at.signature == obs.SignatureObs { // as OBS's own examples have it; those of S3 keep the quotes
				header["If-Match"] = strings.Trim(ifMatch, `"`)
			}
		}
		return s.get(ctx, call{name: name, at: at, key: key, header: header})
	}}
}

// meanings are OBS's codes that mean more than, or other than, objstore.Refusal
// knows.
var meanings = map[string]objstore.Meaning{
	"InvalidObjectState":           {Hint: "it is archived: restore it first"},
	"RequestTimeTooSkewed":         {Kind: fetch.ErrAuth, Hint: objstore.ClockHint},
	"TooManyWrongSignature":        {Hint: "the key is blocked for a while: correct it before trying again"},
	"InvalidToken":                 {Kind: fetch.ErrAuth},
	"AuthorizationHeaderMalformed": {Hint: "check the region that the bucket is asked in"},
	"TemporaryRedirect":            {Kind: fetch.ErrTemporary, Hint: "its name has yet to spread"},
}

// elsewhere returns the hint for a bucket whose endpoint is another one, or "" if
// that is not the vendor's. The endpoint may have the bucket as its first label.
func elsewhere(endpoint, regionHint string) string {
	host, ok := strings.CutSuffix(endpoint, ".myhuaweicloud.com")
	i := strings.LastIndex("."+host, ".obs.")
	if !ok || i < 0 {
		return ""
	}
	region := host[i+len("obs."):]
	if !objstore.IsLabel(region) {
		return ""
	}
	return objstore.Elsewhere("obs."+region+".myhuaweicloud.com", region, regionHint)
}
