package fetch

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify"
)

func parse(t *testing.T, s string) Ref {
	t.Helper()
	ref, err := ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestParseRefReadsEachScheme(t *testing.T) {
	for _, tt := range []struct {
		in, out, key string // out "" = as in
		parts        []string
	}{
		{"sls://cn-hangzhou/ali-test-project/download-123", "", "sls/cn-hangzhou/ali-test-project/download-123", []string{"cn-hangzhou", "ali-test-project", "download-123"}},
		{"sls://cn-hangzhou/p/Nightly export #3", "", "sls/cn-hangzhou/p/Nightly%20export%20%233", []string{"cn-hangzhou", "p", "Nightly export #3"}},
		{"sls://cn-hangzhou/p/.hidden", "", "sls/cn-hangzhou/p/%2Ehidden", []string{"cn-hangzhou", "p", ".hidden"}},
		{"sls://cn-hangzhou/p/...", "", "sls/cn-hangzhou/p/%2E..", []string{"cn-hangzhou", "p", "..."}},
		{"dms://cn-hangzhou/410001/dd-1", "", "dms/cn-hangzhou/410001/dd-1", []string{"cn-hangzhou", "410001", "dd-1"}},
		{"dms://cn-hangzhou/410001/dd-1?tid=3001", "", "dms/cn-hangzhou/410001/dd-1%3Ftid=3001", []string{"cn-hangzhou", "410001", "dd-1"}},
		{"dbs://cn-hangzhou/rm-uf6wjk5xxxxxxx/dt-qwertyui", "", "dbs/cn-hangzhou/rm-uf6wjk5xxxxxxx/dt-qwertyui", []string{"cn-hangzhou", "rm-uf6wjk5xxxxxxx", "dt-qwertyui"}},
		{"dis://cn-north-1/CDaRPdvKUfZrAhzTaYs/CDaRPdvKUfZrAhzTaYs.disMonitorTest.0.1756539753290", "", "dis/cn-north-1/CDaRPdvKUfZrAhzTaYs/CDaRPdvKUfZrAhzTaYs.disMonitorTest.0.1756539753290", []string{"cn-north-1", "CDaRPdvKUfZrAhzTaYs", "CDaRPdvKUfZrAhzTaYs.disMonitorTest.0.1756539753290"}},
		{"oss://bucket/logs/2025/", "", "oss/bucket/logs%2F2025%2F", []string{"bucket", "logs/2025/"}},
		{"oss://bucket/", "", "oss/bucket/%", []string{"bucket", ""}},
		{"oss://bucket//a", "", "oss/bucket/%2Fa", []string{"bucket", "/a"}},
		{"oss://bucket/../a", "", "oss/bucket/%2E.%2Fa", []string{"bucket", "../a"}},
		{"oss://bucket/a?region=cn-hangzhou", "", "oss/bucket/a", []string{"bucket", "a"}},
		{"oss://bucket/what?", "", "oss/bucket/what%3F", []string{"bucket", "what?"}},
		{"oss://bucket/a#size=1", "", "oss/bucket/a%23size=1", []string{"bucket", "a#size=1"}},
		{"obs://bucket/日志", "", "obs/bucket/%E6%97%A5%E5%BF%97", []string{"bucket", "日志"}},
		{"obs://bucket/a?region=cn-north-4", "", "obs/bucket/a", []string{"bucket", "a"}},
		{"https://example.com/dir/a.csv.zst", "", "https/example.com/dir%2Fa.csv.zst", []string{"example.com", "dir/a.csv.zst"}},
		{"https://Example.COM:8443/A", "https://example.com:8443/A", "https/example.com:8443/A", []string{"example.com:8443", "A"}},
		{"https://[2001:DB8::1]/a", "https://[2001:db8::1]/a", "https/%5B2001:db8::1%5D/a", []string{"[2001:db8::1]", "a"}},
		{"https://example.com", "https://example.com/", "https/example.com/%", []string{"example.com", ""}},
		{"https://example.com/a?", "https://example.com/a", "https/example.com/a", []string{"example.com", "a"}},
		{"https://example.com/a?b=c&d", "", "https/example.com/a%3Fb=c&d", []string{"example.com", "a?b=c&d"}},
		{"https://example.com/a b", "https://example.com/a%20b", "https/example.com/a%2520b", []string{"example.com", "a%20b"}},
		{"https://example.com/it's", "", "https/example.com/it%27s", []string{"example.com", "it's"}},
		{"https://example.com/dir%2Fa b", "https://example.com/dir%2Fa%20b", "https/example.com/dir%252Fa%2520b", []string{"example.com", "dir%2Fa%20b"}},
		{"https://example.com/a~b@c", "", "https/example.com/a%7Eb%40c", []string{"example.com", "a~b@c"}},
		{"http://127.0.0.1:8080/a", "", "http/127.0.0.1:8080/a", []string{"127.0.0.1:8080", "a"}},
	} {
		ref := parse(t, tt.in)
		if tt.out == "" {
			tt.out = tt.in
		}
		if got := ref.String(); got != tt.out {
			t.Errorf("%s: String %s, want %s", tt.in, got, tt.out)
		}
		if got := ref.Key(); got != tt.key {
			t.Errorf("%s: Key %s, want %s", tt.in, got, tt.key)
		}
		if diff := cmp.Diff(tt.parts, ref.Parts()); diff != "" {
			t.Errorf("%s: Parts (-want +got)\n%s", tt.in, diff)
		}
		if scheme, _, _ := strings.Cut(tt.in, ":"); ref.Scheme() != scheme || ref.Signed() {
			t.Errorf("%s: Scheme %s, Signed %v", tt.in, ref.Scheme(), ref.Signed())
		}
		checkKey(t, ref)
	}
}

func TestHashIsDerivedFromTheKeyAndStable(t *testing.T) {
	for _, s := range []string{"oss://bucket/a", "oss://bucket/a?region=cn-hangzhou"} {
		if got, want := parse(t, s).Hash(), fmt.Sprintf("%x", sha256.Sum256([]byte("oss/bucket/a")))[:32]; got != want {
			t.Errorf("%s: Hash %s, want %s", s, got, want)
		}
	}
	got := parse(t, "sls://cn-hangzhou/ali-test-project/download-123").Hash()
	if want := "d51565879e43dc9bc8c15a5d867b5f88"; got != want {
		t.Errorf("Hash %s, want %s: archives hold directories of that name", got, want)
	}
}

func TestOptionReturnsTheValueOfAnOption(t *testing.T) {
	if got := parse(t, "dms://cn-hangzhou/1/k?tid=3001").Option("tid"); got != "3001" {
		t.Errorf("tid %q", got)
	}
	for _, name := range []string{"what?versionId=7", "what?x=region", "what?regoin=a?region=cn-north-4"} {
		if ref := parse(t, "oss://b/"+name); !strings.HasPrefix(name, ref.Parts()[1]) || !strings.HasPrefix(ref.Parts()[1], "what?") {
			t.Errorf("%s is taken as %q", name, ref.Parts())
		}
	}
	if got := parse(t, "obs://b/what?region=a?region=cn-north-4"); got.Option("region") != "cn-north-4" || got.Parts()[1] != "what?region=a" {
		t.Errorf("region %q of %q", got.Option("region"), got.Parts())
	}
}

func TestParseRefRefuses(t *testing.T) {
	for _, tt := range []struct{ in, message string }{
		{"", "want SCHEME://"},
		{"download-123", "want SCHEME://"},
		{"ftp://h/a", "want SCHEME://"},
		{"SLS://r/p/j", "want SCHEME://"},
		{"https:/h/a", "want SCHEME://"},
		{"sls://r/p/j\n", "control character"},
		{"sls://r/p/\x00", "control character"},
		{"oss://b/\x1b[31m", "control character"},
		{"oss://b/\xff", "not UTF-8"},
		{"slss://r/p/j", "for SCHEME: did you mean sls://?"},
		{"SLS://r/p/j", "for SCHEME: did you mean sls://?"},
		{"htps://h/a", "for SCHEME: did you mean https://?"},
		{"https:/h/a", "for SCHEME: did you mean https://?"},
		{"oss:b/x", "for SCHEME: did you mean oss://?"},
		{"sls://r/p", "want sls://REGION/PROJECT/JOB"},
		{"sls://r/p/j/k", "want sls://REGION/PROJECT/JOB"},
		{"sls://r/p/", "JOB"},
		{"sls://r/p/.", "JOB"},
		{"sls://r/p/..", "JOB"},
		{"sls:///p/j", "REGION"},
		{"sls://evil.example%2F/p/j", "REGION"},
		{"sls://r@evil.example/p/j", "REGION"},
		{"sls://r/p..q/j", "PROJECT"},
		{"sls://r/-p/j", "PROJECT"},
		{"sls://r/p#/j", "PROJECT"},
		{"sls://r/" + strings.Repeat("p", 129) + "/j", "PROJECT"},
		{"sls://r/p/j?tid=1", "no option"},
		{"sls://r/p/j?", "no option"},
		{"dms://r/1/k?region=r", "no option"},
		{"dms://r/1/k?tid=", "option tid"},
		{"dms://r/1/k?tid=1/2", "option tid"},
		{"dms://r/1/k?tid=1?tid=2", "KEY_ID"},
		{"dms://r/1/k?tid=x", "option tid is \"x\", want a number"},
		{"dms://r/1/k?tid=-1", "option tid"},
		{"dms://r/1/k?tid=1_000", "option tid"},
		{"dms://r/1/k?tid=9223372036854775808", "option tid"},
		{"dms://r/a1/k", "ORDER_ID is \"a1\", want a number"},
		{"dms://r//k", "ORDER_ID"},
		{"dms://r/1.0/k", "ORDER_ID"},
		{"dms://r/9223372036854775808/k", "ORDER_ID"},
		{"dms://r/1", "want dms://REGION/ORDER_ID/KEY_ID"},
		{"dbs://r/rm-1/a b", "TASK_ID"},
		{"dis://r/../f", "TASK_ID"},
		{"oss://bucket", "want oss://BUCKET/PREFIX"},
		{"oss://b_/x", "BUCKET"},
		{"oss://b/x?region=", "option region"},
		{"oss://b/x?region=a.b/c", "option region"},
		{"oss://b/x?regoin=cn-hangzhou", "oss references have no option \"regoin\": did you mean ?region=? If it is part of a name, end the reference in the option region"},
		{"oss://b/x?Region=cn-hangzhou", "did you mean ?region=?"},
		{"obs://b/x/?regon=cn-north-4", "did you mean ?region=?"},
		{"obs://b/?reg=cn-north-4", "did you mean ?region=?"},
		{"dms://r/1/k?tdi=1", "dms references have no option \"tdi\": did you mean ?tid=?"},
		{"oss://b/x?Expires=1&Signature=SECRET", "secret"},
		{"https://", "HOST"},
		{"https:///a", "HOST"},
		{"https://:443/a", "HOST"},
		{"https://h:port/a", "not a URL"},
		{"https://h/%zz", "not a URL"},
		{"https://%ff/a", "HOST"},
		{"https://\u212A.example/a", "HOST"}, // the Kelvin sign, whose lower case is k
		{"https://[fe80::1%25eth0]/a", "HOST"},
		{"https://user@h/a", "user name"},
		{"https://user:password@h/a", "user name"},
		{"https://h/a#size=1&size=1", "twice"},
		{"https://h/a#md5=1", "32 hex digits"},
		{"https://h/a#sha256=" + strings.Repeat("0", 63), "64 hex digits"},
		{"https://h/a#sha256=" + strings.Repeat("g", 64), "64 hex digits"},
		{"https://h/a#sha265=1", "did you mean #sha256="},
		{"https://h/a#md5=" + strings.Repeat("g", 32), "32 hex digits"},
		{"https://h/a#crc64=0x7", "decimal"},
		{"https://h/a#crc64=-1", "decimal"},
		{"https://h/a#crc64=18446744073709551616", "decimal"},
		{"https://h/a#size=-1", "whole number"},
		{"https://h/a#size=9223372036854775808", "whole number"},
		{"https://h/a#size=1e3", "whole number"},
		{"https://h/a#size", "whole number"},
		{"https://h/a#records=", "whole number"},
		{"https://h/a#etag=x", "unknown promise"},
		{"https://h/a#size=1&", "unknown promise"},
		{"https://h/a#SIZE=1", "unknown promise #SIZE: did you mean #size=?"},
		{"https://h/a#recrods=1", "did you mean #records=?"},
		{"https://h/a#from=2026-11-01", "#from and #to are promised together"},
		{"https://h/a#to=2026-11-01", "#from and #to are promised together"},
		{"https://h/a#from=2026-11-01&to=2026-11-01", "#from: want a time before #to"},
		{"https://h/a#from=2026-11-02&to=1", "#from: want a time before #to"},
		{"https://h/a#from=2026-11-31&to=2026-12-02", "#from: want a time like"},
		{"https://h/a#from=-1&to=1", "#from: want a time like"},
		{"https://h/a#from=0&to=2026-11-01T00:00:00.5Z", "#to: want a time like"},
		{"https://h/a#from=0&to=2026-11-01T00:00:00", "#to: want a time like"},
		{"https://h/a#from=0&to=1793491200000", "#to: want a time like"},
		{"https://h/a#from=0&to=", "#to: want a time like"},
		{"https://h/a#form=1", "unknown promise #form: did you mean #from=?"},
		{"https://h/a#sha1=1", "unknown promise #sha1, want sha256, md5, crc64, size, records, from or to"},
	} {
		ref, err := ParseRef(tt.in)
		if err == nil {
			t.Errorf("%q is taken, as %s", tt.in, ref)
		} else if !strings.Contains(err.Error(), tt.message) {
			t.Errorf("%q: %v, want %q in it", tt.in, err, tt.message)
		}
	}
}

func TestTheNearestWordIsTheOneThatWasMeant(t *testing.T) {
	known := []string{"fetch", "worker", "part-size", "max-size", "parallel", "checksum-mismatch"}
	for word, want := range map[string]string{
		"fecth": "fetch", "Fetch": "fetch", "fetch": "fetch", "fetchs": "fetch", "etch": "fetch", "ftech": "fetch", "parallell": "parallel", "paarllel": "parallel",
		"part_size": "part-size", "maxsize": "max-size", "checksum": "checksum-mismatch", "wrkr": "", "size": "", "land": "", "": "", "f": "", "日": "",
	} {
		if got := Nearest(word, known); got != want {
			t.Errorf("%q is taken for %q, want %q", word, got, want)
		}
	}
}

func TestTheFragmentOfAURLPromises(t *testing.T) {
	const md5 = "fba9dede5f27731c9771645a39863328"
	nothing := verify.NoPromise()
	for _, tt := range []struct {
		in, out string // fragments
		want    verify.Want
		records int64
	}{
		{"", "", nothing, verify.Unknown},
		{"#", "", nothing, verify.Unknown},
		{"#size=0", "#size=0", verify.Want{Size: 0}, verify.Unknown},
		{"#size=007", "#size=7", verify.Want{Size: 7}, verify.Unknown},
		{"#records=0", "#records=0", nothing, 0},
		{"#size=1&sha256=" + strings.Repeat("A0", 32), "#sha256=" + strings.Repeat("a0", 32) + "&size=1", verify.Want{Size: 1, SHA256: strings.Repeat("a0", 32)}, verify.Unknown},
		{"#md5=" + strings.ToUpper(md5), "#md5=" + md5, verify.Want{Size: verify.Unknown, MD5: md5}, verify.Unknown},
		{"#crc64=0", "#crc64=0", verify.Want{Size: verify.Unknown, CRC64: "0"}, verify.Unknown},
		{"#crc64=0011051210869376104954", "#crc64=11051210869376104954", verify.Want{Size: verify.Unknown, CRC64: "11051210869376104954"}, verify.Unknown},
		{"#records=5&size=9223372036854775807&crc64=18446744073709551615&md5=" + md5, "#md5=" + md5 + "&crc64=18446744073709551615&size=9223372036854775807&records=5",
			verify.Want{Size: 1<<63 - 1, MD5: md5, CRC64: "18446744073709551615"}, 5},
	} {
		ref := parse(t, "https://h/a"+tt.in)
		if diff := cmp.Diff(tt.want, ref.Want()); diff != "" || ref.Records() != tt.records {
			t.Errorf("%s: %d records, want %d; Want (-want +got)\n%s", tt.in, ref.Records(), tt.records, diff)
		}
		if got, want := ref.String(), "https://h/a"+tt.out; got != want {
			t.Errorf("%s: String %s, want %s", tt.in, got, want)
		}
		if ref.Key() != "https/h/a" || ref.URL() != "https://h/a" {
			t.Errorf("%s: Key %s, URL %s: a promise is no part of them", tt.in, ref.Key(), ref.URL())
		}
	}
}

func TestTheFragmentOfAURLPromisesAWindow(t *testing.T) {
	november := &Window{Group: "https://h/d/", From: time.Unix(1793491200, 0).UTC(), To: time.Unix(1793491200+86400, 0).UTC()}
	const canonical = "#from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z"
	for _, tt := range []struct {
		path, fragment, canonical string
		want                      *Window
	}{
		{"d/a", "", "", nil},
		{"d/a", "#size=1", "#size=1", nil},
		{"d/a", "#from=2026-11-01&to=2026-11-02", canonical, november},
		{"d/a", "#to=2026-11-02&from=2026-11-01", canonical, november},
		{"d/a", "#from=1793491200&to=1793577600", canonical, november},
		{"d/a", "#from=2026-11-01T08:00:00+08:00&to=2026-11-02T00:00:00.000Z", canonical, november},
		{"d/a", "#from=2026-11-01T08%3A00%3A00%2B08%3A00&to=2026-11-02", canonical, november},
		{"d/a?b=/c", "#from=2026-11-01&to=2026-11-02", canonical, november},
		{"d/a?Signature=x/y", "#from=2026-11-01&to=2026-11-02", canonical, november},
		{"a", "#records=3&from=0&to=1", "#records=3&from=1970-01-01T00:00:00Z&to=1970-01-01T00:00:01Z", &Window{Group: "https://h/", From: time.Unix(0, 0).UTC(), To: time.Unix(1, 0).UTC()}},
	} {
		ref := parse(t, "https://h/"+tt.path+tt.fragment)
		if diff := cmp.Diff(tt.want, ref.Window(), cmp.AllowUnexported(Ref{}), cmp.AllowUnexported(Scheme{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.fragment, diff)
		}
		if got := ref.String(); !strings.HasSuffix(got, tt.canonical) || parse(t, got).String() != got {
			t.Errorf("%s: String %s, want %s at its end", tt.fragment, got, tt.canonical)
		}
		if plain := parse(t, "https://h/"+tt.path); ref.Key() != plain.Key() || ref.URL() != plain.URL() {
			t.Errorf("%s: Key %s, URL %s: a promise is no part of them", tt.fragment, ref.Key(), ref.URL())
		}
	}
}

func TestDifferentExportsHaveDifferentKeys(t *testing.T) {
	long := strings.Repeat("a", 200)
	cut := escapeSegment(long)
	refs := []string{
		"sls://r/p/" + long, "sls://r/p/" + long + "a", "sls://r/p/" + cut, "sls://r/p/" + strings.ReplaceAll(cut, "~", "%7E"),
		"sls://r/p/a b", "sls://r/p/a%20b", "sls://r/p/a+b", "sls://r/p/a%2520b",
		"sls://r/p/a", "sls://r/p/A", "sls://r/p/a.", "sls://r/p/.a", "sls://r/p/%2Ea", "sls://r/p/%252Ea", "sls://r/p/a ", "sls://r/p/ a",
		"sls://r/p/...", "sls://r/p/%2E..", "sls://r/p/....", "sls://r/p/%", "sls://r/p/%25",
		"sls://r/p/é", "sls://r/p/e\u0301", "sls://r/p/%C3%A9",
		"sls://r/p/a@20250830T000000Z", "sls://r/p/a%4020250830T000000Z",
		"dms://r/1/k", "dms://r/1/k?tid=1", "dms://r/1/k?tid=2", "dms://r/1/k-tid-1",
		"oss://b/", "oss://b/%", "oss://b/.", "oss://b/..", "oss://b/%2E", "oss://b/%2E.", "oss://b/%2E%2E",
		"oss://b/x/y", "oss://b/x%2Fy", "oss://b/x//y", "oss://b//x/y", "oss://b/x/y/", "oss://b/x~y", "oss://b/x%7Ey",
		"oss://b/k?tid=1", "oss://b/k%3Ftid=1", "obs://b/x/y",
		"https://h/a/b", "https://h/a%2Fb", "https://h/a%2fb", "https://h/a%252Fb", "https://h/a b/c", "https://h/a b%2Fc",
		"https://h/a?b", "https://h/a%3Fb", "https://h/a?b/c", "https://h//a", "https://h/", "https://h/.", "https://h/..",
		"https://h:443/", "https://h.b/", "http://h/a/b",
		"https://h/时/b", "https://h/时%2Fb",
	}
	keys := map[string]string{}
	for _, s := range refs {
		ref := parse(t, s)
		checkKey(t, ref)
		if other, ok := keys[ref.Key()]; ok {
			t.Errorf("%s and %s have one key: %s", s, other, ref.Key())
		}
		keys[ref.Key()] = s
	}
}

func TestKeysOfASchemeHaveOneDepth(t *testing.T) {
	for name, scheme := range schemes {
		if !slices.Contains([]int{2, 3}, len(scheme.Segments)) {
			t.Errorf("%s has %d segments", name, len(scheme.Segments))
		}
	}
	for _, tail := range []string{"", "a", "a/b", "a/b/c/d", "../..", "a/../..", "/", "//", "./."} {
		ref := parse(t, "oss://b/"+tail)
		checkKey(t, ref)
	}
}

func TestLongSegmentsAreCutAndHashed(t *testing.T) {
	for _, job := range []string{
		strings.Repeat("a", 181), strings.Repeat("a", 5000), strings.Repeat(".", 300), "." + strings.Repeat("a", 300),
		strings.Repeat("时", 60), strings.Repeat("~", 61), strings.Repeat(".", 179),
	} {
		ref := parse(t, "sls://r/p/"+job)
		checkKey(t, ref)
		segment := ref.Key()[len("sls/r/p/"):]
		cut := regexp.MustCompile(`^.{120}~[0-9a-f]{32}$`).MatchString(segment)
		if whole := len(segment) <= 180 && !strings.Contains(segment, "~"); !cut && !whole {
			t.Errorf("%.20s… of %d bytes: segment %s", job, len(job), segment)
		}
	}
	if got := escapeSegment(strings.Repeat("a", 180)); got != strings.Repeat("a", 180) {
		t.Errorf("180 bytes are cut: %s", got)
	}
}

// checkKey checks that the key and the hash are names that an archive can use.
func checkKey(t *testing.T, ref Ref) {
	t.Helper()
	key := ref.Key()
	if !filepath.IsLocal(key) || filepath.Clean(key) != key {
		t.Errorf("%s: key %q is not a local path in its shortest form", ref, key)
	}
	segments := strings.Split(key, "/")
	if len(segments) != 1+len(ref.scheme.Segments) || segments[0] != ref.Scheme() {
		t.Errorf("%s: key %q has %d segments", ref, key, len(segments))
	}
	for _, s := range segments {
		if s == "" || s[0] == '.' || len(s) > 180 || strings.ContainsAny(s, "@\\\x00") {
			t.Errorf("%s: segment %q of key %q", ref, s, key)
		}
	}
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(ref.Hash()) {
		t.Errorf("%s: hash %q", ref, ref.Hash())
	}
}

func TestTheQueryOfASignedURLIsShownNowhere(t *testing.T) {
	const path = "https://b.oss-cn-hangzhou.aliyuncs.com/dir%2Fa%20b%2Bc.csv.zst"
	forms, err := os.ReadFile("redact/testdata/signed_queries.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(forms)) {
		name, rest, _ := strings.Cut(line, "\t")
		query, _, _ := strings.Cut(rest, "\t")
		signed := path + "?" + query
		ref := parse(t, signed+"#size=5")
		if !ref.Signed() || ref.URL() != signed {
			t.Errorf("%s: Signed %v, URL %s", name, ref.Signed(), ref.URL())
		}
		if got, want := ref.String(), path+"#size=5"; got != want {
			t.Errorf("%s: String %s, want %s", name, got, want)
		}
		if got, want := ref.Key(), parse(t, path).Key(); got != want {
			t.Errorf("%s: Key %s, want %s", name, got, want)
		}
		for _, bad := range []string{signed + "#size=x", signed + "#?", path + "#size=5?" + query, path + "#" + query, "x" + signed,
			strings.TrimPrefix(signed, "https://"), signed + "\x00", signed + "&a=b c&Signature=SECRET#x", strings.Replace(signed, "https://", "oss://", 1)} {
			_, err := ParseRef(bad)
			if err == nil {
				t.Errorf("%s: %q is taken", name, bad)
			} else if text := err.Error(); strings.Contains(text, "SECRET") || strings.Contains(text, "Signature=") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestURLIsSentAsItWasGiven(t *testing.T) {
	for _, target := range []string{"/", "/a", "/dir%2Fa%20b%2Bc.csv.zst", "/a%2fb", "//a", "/a?b=c%20d", "/it's(1)*!", "/a;b=c,d", "/a/../b", "/a?x=%E6%97%B6", "/a?b?c", "/?token=a/b+c=="} {
		request, err := http.NewRequest("GET", parse(t, "https://h"+target+"#size=1").URL(), nil)
		if err != nil {
			t.Error(err)
		} else if got := request.URL.RequestURI(); got != target {
			t.Errorf("sent %s, want %s", got, target)
		}
	}
}

var refCorpus = []string{
	"sls://cn-hangzhou/ali-test-project/download-123", "sls://r/p/..", "sls://r/p/a?b", "dms://r/1/k?tid=3001", "dms://r/1/k?tid=1?tid=2",
	"dbs://r/rm-1/dt-1", "dis://r/t/t.s.0.1756539753290", "oss://b/a/b?region=cn-hangzhou", "oss://b/?", "oss://b/a?region=a?region=b",
	"obs://b/%2F/../~", "https://H:1/a%2Fb?c=d#md5=fba9dede5f27731c9771645a39863328&crc64=7&size=5&records=3", "https://h/a b?c d",
	"https://h?a", "https://[::1]:1/", "https://[fe80::1%25a]/", "https://%E4%B8%AD/", "https://h/\"<>|'", "https://h/a?x=%zz", "http://h/?token=x",
	"https://h/a#size=1?token=x", "https://u:p@h/", "https://h/a?u=https%3A%2F%2Fh%2F%3Fsig%3Dx",
}

func FuzzParseRef(f *testing.F) {
	for _, s := range refCorpus {
		f.Add(s)
	}
	f.Add("sls://r/p/" + strings.Repeat(".", 200))
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseRef(s)
		if err != nil {
			return
		}
		checkKey(t, ref)
		again, err := ParseRef(ref.String())
		if err != nil {
			t.Fatalf("%q gives %q: %v", s, ref.String(), err)
		}
		if again.Signed() || again.String() != ref.String() || again.Key() != ref.Key() || again.Want() != ref.Want() || again.Records() != ref.Records() {
			t.Errorf("%q gives %q with key %q, that gives %q with key %q", s, ref, ref.Key(), again, again.Key())
		}
		if !ref.Signed() && again.URL() != ref.URL() {
			t.Errorf("%q: URL %q, then %q", s, ref.URL(), again.URL())
		}
	})
}

func FuzzKeyIsInjective(f *testing.F) {
	for i, s := range refCorpus {
		f.Add(s, refCorpus[(i+1)%len(refCorpus)])
	}
	f.Add("oss://b/a/b", "oss://b/a%2Fb")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, errX := ParseRef(a)
		y, errY := ParseRef(b)
		if errX != nil || errY != nil {
			return
		}
		same := x.scheme == y.scheme && x.Option("tid") == y.Option("tid") && slices.Equal(x.parts, y.parts)
		if (x.Key() == y.Key()) != same {
			t.Errorf("%q has key %q, %q has key %q", a, x.Key(), b, y.Key())
		}
	})
}

func FuzzParseRefTellsNoSecret(f *testing.F) {
	for _, s := range refCorpus {
		f.Add(s, "Expires=1", "")
		f.Add(s, "a=b c", "#size=x")
		f.Add(s, "a=\"", "\x00")
	}
	f.Fuzz(func(t *testing.T, reference, query, rest string) {
		s := reference + "?" + query + "&Signature=SECRET" + rest
		if strings.Count(s, "SECRET") > 1 {
			return
		}
		ref, err := ParseRef(s)
		if err != nil && strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", s, err)
		}
		if err == nil && (strings.Contains(ref.String(), "SECRET") || strings.Contains(ref.Key(), "SECRET")) {
			t.Errorf("%q: String %q, Key %q", s, ref, ref.Key())
		}
	})
}

func TestThePlaceTextOfAReference(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"sls://cn-hangzhou/ali-test-project/job":        "sls://cn-hangzhou/ali-test-project/",
		"oss://my-bucket/logs/2026/":                    "oss://my-bucket/",
		"https://data.example.com/a/b.csv?x=1#size=100": "https://data.example.com/",
	} {
		if r, err := ParseRef(ref); err != nil || r.PlaceText() != want {
			t.Errorf("%s is in %q, %v, want %q", ref, r.PlaceText(), err, want)
		}
	}
}
