package acs

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func percent(s string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
}

func documentedQuery(query url.Values) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(query)) {
		pairs = append(pairs, percent(name)+"="+percent(query.Get(name)))
	}
	return strings.Join(pairs, "&")
}

var acs3Header = regexp.MustCompile(`^ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})$`)

// verifyACS3 verifies ACS3-HMAC-SHA256 by the vendor's documentation alone. It
// returns the hash of the canonical request.
func verifyACS3(r *http.Request, id, secret string) (string, error) {
	auth := acs3Header.FindStringSubmatch(r.Header.Get("Authorization"))
	if auth == nil || auth[1] != id {
		return "", fmt.Errorf("authorization %q", r.Header.Get("Authorization"))
	}
	signed := strings.Split(auth[2], ";")
	must := []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-acs-") || lower == "content-type" {
			must = append(must, lower)
		}
	}
	slices.Sort(must)
	if !slices.Equal(slices.Compact(must), signed) {
		return "", fmt.Errorf("signed are %v, want %v", signed, must)
	}
	body, err := io.ReadAll(r.Body)
	if sum := fmt.Sprintf("%x", sha256.Sum256(body)); err != nil || r.Header.Get("x-acs-content-sha256") != sum {
		return "", fmt.Errorf("the hash of the body is not %s: %w", sum, err)
	}
	lines := ""
	for _, name := range signed {
		value := r.Header.Get(name)
		if name == "host" {
			value = r.Host
		}
		lines += name + ":" + strings.TrimSpace(value) + "\n"
	}
	canonical := strings.Join([]string{r.Method, r.URL.EscapedPath(), documentedQuery(r.URL.Query()), lines, auth[2], r.Header.Get("x-acs-content-sha256")}, "\n")
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(canonical)))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + hash))
	if want := hex.EncodeToString(mac.Sum(nil)); auth[3] != want {
		return hash, fmt.Errorf("signature %s, want %s", auth[3], want)
	}
	return hash, nil
}

// verifyV1 verifies version 1, whose signature is in the query.
func verifyV1(method string, query url.Values, id, secret string) error {
	if query.Get("AccessKeyId") != id || query.Get("SignatureMethod") != "HMAC-SHA1" || query.Get("SignatureVersion") != "1.0" {
		return fmt.Errorf("query %v", query)
	}
	unsigned := maps.Clone(query)
	unsigned.Del("Signature")
	mac := hmac.New(sha1.New, []byte(secret+"&"))
	mac.Write([]byte(method + "&%2F&" + percent(documentedQuery(unsigned))))
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); query.Get("Signature") != want {
		return fmt.Errorf("signature %s, want %s", query.Get("Signature"), want)
	}
	return nil
}

func TestTheVerifierOfACS3MatchesTheVectors(t *testing.T) {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	download := []string{"x-acs-action", "DescribeDownloadTask", "x-acs-content-sha256", empty, "x-acs-date", "2026-01-02T03:04:05Z",
		"x-acs-signature-nonce", "n0001", "x-acs-version", "2021-01-01"}
	const downloadURL = "https://dbs-api.cn-hangzhou.aliyuncs.com/?InstanceName=rm-bp1imnmcjxdz7&PageSize=50&RegionCode=cn-hangzhou"
	for _, c := range []struct {
		name, id, secret, url string
		headers               []string
		hash, signature       string
	}{
		{"the vendor's", "YourAccessKeyId", "YourAccessKeySecret",
			"https://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
			[]string{"x-acs-action", "RunInstances", "x-acs-content-sha256", empty, "x-acs-date", "2023-10-26T10:22:32Z",
				"x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d", "x-acs-version", "2014-05-26"},
			"7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259", "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"},
		{"of a download", "testid", "testsecret", downloadURL, download,
			"31f3283a9c4a95ef92962d28564f0cf7a2aeb63423b67ee03bb3fe9bdeaea8bf", "7c97463f1e7614ca84d9a0308d32919b9338efb7f1ce7183218a2fcbec53cbf4"},
		{"of a download with an STS token", "testid", "testsecret", downloadURL,
			append(slices.Clone(download), "x-acs-accesskey-id", "testid", "x-acs-security-token", "tok/en+="),
			"a030077f8e326bf5b8491fc130ad54019218b167cbb2b89b42f893ed53082fc3", "6c6a24088cb0304d4d99b27dd977bb23c42bec6d7d756dd8be63ede8aac8a578"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequest("POST", c.url, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			names := []string{"host"}
			for i := 0; i < len(c.headers); i += 2 {
				req.Header.Set(c.headers[i], c.headers[i+1])
				names = append(names, c.headers[i])
			}
			slices.Sort(names)
			req.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+c.id+",SignedHeaders="+strings.Join(names, ";")+",Signature="+c.signature)
			if hash, err := verifyACS3(req, c.id, c.secret); err != nil || hash != c.hash {
				t.Errorf("got %s, %v, want %s", hash, err, c.hash)
			}
			if _, err := verifyACS3(req, c.id, c.secret+"x"); err == nil {
				t.Error("another secret verifies too")
			}
		})
	}
}

func TestTheVerifierOfVersion1MatchesTheVectors(t *testing.T) {
	const regions = "Format=XML&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Timestamp=2016-02-23T12:46:24Z&Version=2014-05-26&Action=DescribeRegions"
	const download = "Action=QueryDataTrackResultDownloadStatus&Format=json&OrderId=11&DownloadKeyId=e23dd7ec-a19f-4a69-8eb3-8ffd26e60000&Tid=1" +
		"&SignatureNonce=n-0001&Timestamp=2026-01-02T03:04:05Z&Version=2018-11-01"
	for _, c := range []struct{ name, method, query, signature string }{
		{"the vendor's, GET", "GET", regions, "OLeaidS1JvxuMvnyHOwuJ+uX5qY="},
		{"the vendor's, POST", "POST", regions, "MxbnVAM4w6sft9xjVpe/GCKueuk="},
		{"of a download", "POST", download, "x51e76WTqPGAeiPHAIb4Xwjx6Z8="},
		{"of a download with an STS token", "POST", download + "&SecurityToken=tok%2Fen%2B%3D", "TwgkHpPZKHZNGhsnbXP5sGDtQYw="},
	} {
		t.Run(c.name, func(t *testing.T) {
			query, err := url.ParseQuery(c.query + "&AccessKeyId=testid&SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&Signature=" + url.QueryEscape(c.signature))
			if err != nil {
				t.Fatal(err)
			}
			if err := verifyV1(c.method, query, "testid", "testsecret"); err != nil {
				t.Error(err)
			}
		})
	}
}
