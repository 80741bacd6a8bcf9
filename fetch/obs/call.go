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
)

// A call is one signed GET: of an object, or of a bucket's listing where there
// is no key.
type call struct {
	name   string // "GetObject obs://bucket/key"
	at     *place
	key    string
	list   obs.ListObjsInput
	marker string
	header map[string]string // besides what is signed
}

// get makes the call. Its answer is a success, whose body the caller closes.
func (s *Store) get(ctx context.Context, c call) (*http.Response, error) {
	keys, err := s.keys(ctx)
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
		return nil, c.refused(resp)
	}
	return resp, nil
}

// request is the signed request of the call. The headers that need no
// signature get none, since proxies change some of them.
func (c call) request(ctx context.Context, keys Keys) (*http.Request, error) {
	req, err := c.signed(ctx, keys)
	if err != nil {
		return nil, err
	}
	if c.at.signature == obs.SignatureV4 {
		c.at.signAgain(req, keys)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// A catch is a transport that keeps a request and sends nothing.
type catch struct{ req *http.Request }

var errCaught = errors.New("the request is not to be sent")

func (t *catch) RoundTrip(req *http.Request) (*http.Response, error) {
	t.req = req.Clone(req.Context())
	return nil, errCaught
}

// signed has the SDK make the request. A client of it is cheap, and holds the
// context and the keys of one call.
func (c call) signed(ctx context.Context, keys Keys) (*http.Request, error) {
	var caught catch
	client, err := obs.New(keys.AK, keys.SK, c.at.endpoint,
		obs.WithSecurityToken(keys.SecurityToken),
		obs.WithSignature(c.at.signature),
		obs.WithPathStyle(c.at.pathStyle),
		obs.WithRegion(cmp.Or(c.at.region, anyRegion)),
		obs.WithUserAgent("tallyman"),
		obs.WithHttpClient(&http.Client{Transport: &caught}),
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
	if caught.req == nil {
		return nil, cmp.Or(err, errors.New("the SDK made no request"))
	}
	return caught.req, nil
}

// signAgain signs by V4 what the SDK made, by the SDK's own function, since as
// it is some refuse it: it has the date in the Date header only, and a space
// in the query as a plus sign.
func (w *place) signAgain(req *http.Request, keys Keys) {
	req.URL.RawQuery = strings.ReplaceAll(req.URL.RawQuery, "+", "%20")
	signed := map[string][]string{
		"host":                 {req.Host},
		"x-amz-date":           {time.Now().UTC().Format(obs.LONG_DATE_FORMAT)},
		"x-amz-content-sha256": {obs.UNSIGNED_PAYLOAD},
	}
	if keys.SecurityToken != "" {
		signed["x-amz-security-token"] = []string{keys.SecurityToken}
	}
	made := obs.V4Auth(keys.AK, keys.SK, cmp.Or(w.region, anyRegion), req.Method, cmp.Or(req.URL.EscapedPath(), "/"), req.URL.RawQuery, signed)
	req.Header = http.Header{"User-Agent": req.Header["User-Agent"]}
	for name, values := range signed {
		if name != "host" {
			req.Header.Set(name, values[0])
		}
	}
	req.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s, SignedHeaders=%s, Signature=%s",
		obs.V4_HASH_PREFIX, made["Credential"], made["SignedHeaders"], made["Signature"]))
}
