package sign

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

const (
	s3ID     = "AKIAIOSFODNN7EXAMPLE"
	s3Secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	s3Host   = "http://examplebucket.s3.amazonaws.com"
	s3Scope  = "AWS4-HMAC-SHA256 Credential=" + s3ID + "/20130524/us-east-1/s3/aws4_request,SignedHeaders="
)

// s3Vectors are the examples that Amazon publishes of V4.
var s3Vectors = map[string][]string{
	"object": {s3Host + "/test.txt", "Range", "bytes=0-9", "Authorization",
		s3Scope + "host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	"subresource": {s3Host + "/?lifecycle", "Authorization",
		s3Scope + "host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	"listing": {s3Host + "/?max-keys=2&prefix=J", "Authorization",
		s3Scope + "host;x-amz-content-sha256;x-amz-date, Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
}

// obsVector returns the request of a vector, and its check.
func obsVector(name string) (r *http.Request, check func() *apierr.Error) {
	r = httptest.NewRequest("GET", s3Vectors[name][0], nil)
	setHeaders(r, "x-amz-date", "20130524T000000Z", "x-amz-content-sha256", emptyHash)
	setHeaders(r, s3Vectors[name][1:]...)
	return r, func() *apierr.Error {
		return Account{AccessKeyID: s3ID, AccessKeySecret: s3Secret}.CheckOBS(r, obsTarget(r), time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
	}
}

func obsTarget(r *http.Request) Target {
	bucket, _, _ := strings.Cut(r.Host, ".")
	return Target{Bucket: bucket, Key: strings.TrimPrefix(r.URL.Path, "/"), Region: "us-east-1"}
}

func TestPublishedAWS4VectorsAreAccepted(t *testing.T) {
	for name := range s3Vectors {
		_, check := obsVector(name)
		wantAccepted(t, name, check())
	}
}

// OBS signs as S3 did before V4, with headers of its own, so the examples that
// Amazon published of that hold.
func TestOBSTextIsSignedAsPublishedForS3(t *testing.T) {
	for path, row := range map[string]struct{ date, signature string }{
		"/photos/puppy.jpg":                        {"Tue, 27 Mar 2007 19:36:42 +0000", "bWq2s1WEIj+Ydj0vQ697zp+IXMU="},
		"/?prefix=photos&max-keys=50&marker=puppy": {"Tue, 27 Mar 2007 19:42:41 +0000", "htDYFYduRNen8P9ZfE/s9SuKy0U="},
		"/?acl": {"Tue, 27 Mar 2007 19:44:46 +0000", "c2WLPFtWHVgbEmeEG93a4cG37dM="},
	} {
		r := httptest.NewRequest("GET", "http://johnsmith.obs.example"+path, nil)
		r.Header.Set("Date", row.date)
		text := obsText(r, obsTarget(r))
		if got := signSHA1(s3Secret, text); got != row.signature {
			t.Errorf("%s: got %s of %q, want %s", path, got, text, row.signature)
		}
	}
}

func TestTamperedOBSRequestsGetTheVendorsErrors(t *testing.T) {
	for _, row := range []tampering{
		{"object", "other key", setPath("2"), 403, "SignatureDoesNotMatch"},
		{"object", "other host", setHost("examplebucket.s3.example"), 403, "SignatureDoesNotMatch"},
		{"object", "other method", setMethod("HEAD"), 403, "SignatureDoesNotMatch"},
		{"object", "other range, which was signed", setHeader("Range", "bytes=0-8"), 403, "SignatureDoesNotMatch"},
		{"object", "a header more, which must be", setHeader("x-amz-foo", "1"), 403, "AccessDenied"},
		{"object", "host not signed", authorization("=host;", "="), 403, "AccessDenied"},
		{"object", "no payload hash", setHeader("x-amz-content-sha256", ""), 400, "InvalidRequest"},
		{"object", "16 minutes late", setHeader("x-amz-date", "20130524T001601Z"), 403, "RequestTimeTooSkewed"},
		{"object", "no date", setHeader("x-amz-date", ""), 403, "AccessDenied"},
		{"object", "other day", authorization("20130524", "20130525"), 400, "AuthorizationHeaderMalformed"},
		{"object", "other region", authorization("us-east-1", "cn-north-4"), 400, "AuthorizationHeaderMalformed"},
		{"object", "short scope", authorization("/aws4_request", ""), 400, "AuthorizationHeaderMalformed"},
		{"object", "unknown key", authorization("AKIA", "AKIB"), 403, "InvalidAccessKeyId"},
		{"object", "other scheme", setHeader("Authorization", "AWS "+s3ID+":x"), 403, "AccessDenied"},
		{"listing", "other query", addQuery("x"), 403, "SignatureDoesNotMatch"},
		{"obs", "other key", setPath("2"), 403, "SignatureDoesNotMatch"},
		{"obs", "a header more", setHeader("x-obs-foo", "1"), 403, "SignatureDoesNotMatch"},
		{"obs", "a subresource more", addQuery("versionId=1"), 403, "SignatureDoesNotMatch"},
		{"obs", "a token unasked for", setHeader("x-obs-security-token", "t"), 400, "InvalidToken"},
		{"obs", "no date", setHeader("Date", ""), 403, "AccessDenied"},
		{"obs", "old date", setHeader("Date", "Fri, 24 May 2013 00:16:01 GMT"), 403, "RequestTimeTooSkewed"},
	} {
		r, check := obsVector(cmp.Or(map[string]string{"listing": "listing"}[row.of], "object"))
		if row.of == "obs" {
			r.Header = http.Header{"Date": {"Fri, 24 May 2013 00:00:00 GMT"}}
			r.Header.Set("Authorization", "OBS "+s3ID+":"+signSHA1(s3Secret, obsText(r, obsTarget(r))))
			wantAccepted(t, "obs", check())
		}
		row.change(r)
		wantError(t, row, check())
	}
}

func TestOBSHeadersThatAreNotSignedMayChange(t *testing.T) {
	r, check := obsVector("listing")
	setHeaders(r, "Range", "bytes=0-1", "If-Match", "x", "Accept-Encoding", "identity")
	wantAccepted(t, "listing", check())
}
