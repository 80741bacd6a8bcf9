package obs

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/internal/objstore"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
)

func TestTheAddressOfABucket(t *testing.T) {
	const vendor = ".obs.cn-north-4.myhuaweicloud.com:443"
	for _, c := range []struct {
		name  string
		ref   string
		store *Store
		url   string
		sign  string
	}{
		{"at the vendor's endpoint of the reference's region", "obs://bkt/p?region=cn-north-4", &Store{}, "https://bkt" + vendor, "OBS HUAWEIid:"},
		{"in the configured region", "obs://bkt/p", &Store{Region: "cn-north-4"}, "https://bkt" + vendor, "OBS "},
		{"in the reference's region before the configured", "obs://bkt/p?region=cn-north-4", &Store{Region: "cn-south-1"}, "https://bkt" + vendor, "OBS "},
		{"signed as set", "obs://bkt/p?region=cn-north-4", &Store{Signature: "v4"}, "https://bkt" + vendor, "AWS4-HMAC-SHA256 Credential=HUAWEIid/"},
		{"in the path where its dots fit no certificate", "obs://b.k.t/p?region=cn-north-4", &Store{}, "https://obs.cn-north-4.myhuaweicloud.com:443/b.k.t", "AWS4-"},
		{"elsewhere by address, without a region", "obs://bkt/p", &Store{Endpoint: "http://127.0.0.1:1"}, "http://127.0.0.1:1/bkt", "AWS4-"},
		{"on this machine", "obs://bkt/p", &Store{Endpoint: "http://localhost:1/"}, "http://localhost:1/bkt", "AWS4-"},
		{"elsewhere by name", "obs://bkt/p", &Store{Endpoint: "https://obs.example:1"}, "https://bkt.obs.example:1", "OBS "},
	} {
		t.Run(c.name, func(t *testing.T) {
			fetchtest.CheckAddress(t, c.ref, func(client *http.Client) fetch.Provider {
				c.store.Keys, c.store.Client = StaticKeys(keys), client
				return &Provider{c.store}
			}, c.url, c.sign)
		})
	}
}

// The SDK cuts an IPv6 address in two and, if the bucket is in the path, signs in
// another way than it was told.
func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		ref   string
		store *Store
		want  string
	}{
		{"no region anywhere names the ways to say it", "obs://bkt/p", &Store{}, "export obs://bkt/p: the bucket's region is not known: add ?region=REGION to the reference"},
		{"an unknown signature", "obs://bkt/p?region=r", &Store{Signature: "v2"}, `export obs://bkt/p?region=r: unknown signature version "v2", want obs or v4`},
		{"a signature that the path rules out", "obs://bkt/p", &Store{Endpoint: "http://127.0.0.1:1", Signature: "obs"}, "export obs://bkt/p: signature obs is not for a bucket in the path, as http://127.0.0.1:1 has it: want v4"},
		{"an endpoint without a scheme", "obs://bkt/p", &Store{Endpoint: "obs.example"}, "export obs://bkt/p: endpoint obs.example: want http://HOST:PORT"},
		{"an endpoint with a password", "obs://bkt/p", &Store{Endpoint: "http://u:canary@h"}, "export obs://bkt/p: endpoint http://h: want http://HOST:PORT"},
		{"an endpoint by address of IPv6", "obs://bkt/p", &Store{Endpoint: "http://[::1]:1"}, "export obs://bkt/p: endpoint http://[::1]:1: want a name or an IPv4 address"},
		{"a region that is a host", "obs://bkt/p?region=evil.example", &Store{}, `export obs://bkt/p?region=evil.example: region "evil.example": want lower-case letters`},
		{"a bucket that can't be", "obs://Bucket/p?region=r", &Store{}, `export obs://Bucket/p?region=r: bucket "Bucket": want 3 to 63 lower-case letters`},
		{"a bucket that is too short", "obs://ab/p?region=r", &Store{}, `export obs://ab/p?region=r: bucket "ab": want 3 to 63`},
		{"a bucket that is too long", "obs://a" + strings.Repeat("b", 63) + "/p?region=r", &Store{}, "export obs://a" + strings.Repeat("b", 63)},
	} {
		t.Run(c.name, func(t *testing.T) { fetchtest.CheckUnsupported(t, &Provider{c.store}, c.ref, c.want, ErrNoRegion) })
	}
	if _, err := (&Provider{&Store{}}).Export(t.Context(), fetchtest.ParseRef(t, "foreign://a/b/c")); err == nil || !strings.Contains(err.Error(), "not a reference to objects of OBS") {
		t.Errorf("of another scheme: got %v", err)
	}
}

// signingModes are the settings for each way to sign a call and to name its bucket.
var signingModes = map[string]Store{
	"obs, host": {Endpoint: "http://obs.cn-north-4.myhuaweicloud.com"},
	"v4, host":  {Endpoint: "http://obs.cn-north-4.myhuaweicloud.com", Signature: "v4", Region: "cn-north-4"},
	"v4, path":  {},
}

// withMode gives the settings of a signing mode to a store, and returns it.
func withMode(mode Store, store *Store) *Store {
	if mode.Endpoint != "" {
		store.Endpoint = mode.Endpoint
	}
	store.Signature, store.Region = mode.Signature, mode.Region
	return store
}

// The SDK's own V4 signature fails for a prefix or a marker with a space.
func TestSignaturesHoldWithEveryKindOfKey(t *testing.T) {
	objects := map[string]string{}
	for _, name := range fetchtest.OddNames {
		objects["e +/"+name] = name
	}
	for mode, settings := range signingModes {
		for name, k := range map[string]Keys{"keys": keys, "temporary keys": temporary} {
			t.Run(mode+" with "+name, func(t *testing.T) {
				srv, store := serveTo(t, k, objects)
				store = withMode(settings, store)
				store.PageSize = 1
				for o, err := range store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e +/"}) {
					if err != nil {
						t.Fatal(err)
					}
					if got := fetchtest.ReadAll(t, o, 0, 100); got != o.Name {
						t.Errorf("%s: read %q", o.Name, got)
					}
				}
				if n := len(srv.seen()); n != 2*len(fetchtest.OddNames) {
					t.Errorf("%d requests, want %d pages and %d objects", n, len(fetchtest.OddNames), len(fetchtest.OddNames))
				}
			})
		}
	}
}

// The SDK's V4 has the date in the Date header only, which MinIO and others
// refuse.
func TestV4SendsTheDateAsS3Does(t *testing.T) {
	srv, store := serve(t, map[string]string{"a": "x"})
	fetchtest.ReadAll(t, only(t, store), 0, 1)
	for _, r := range srv.seen() {
		if r.Header.Get("x-amz-date") == "" || !strings.Contains(r.Header.Get("Authorization"), "SignedHeaders=host;x-amz-content-sha256;x-amz-date,") {
			t.Errorf("%s: %v", r.URL, r.Header)
		}
	}
}

func TestAWrongKeyIsRefused(t *testing.T) {
	for mode, settings := range signingModes {
		srv, store := serve(t, map[string]string{"a": "x"})
		store = withMode(settings, store)
		for wrong, k := range map[string]Keys{
			"SK": {AccessKey: keys.AccessKey, SecretKey: "other"}, "AK": {AccessKey: "other", SecretKey: keys.SecretKey}, "a token that the key does not have": {AccessKey: keys.AccessKey, SecretKey: keys.SecretKey, SecurityToken: "t"},
		} {
			store.Keys = StaticKeys(k)
			if _, err := fetchtest.Names(store.Objects(t.Context(), Selection{Bucket: bucket})); !errors.Is(err, fetch.ErrAuth) {
				t.Errorf("%s, %s: got %v", mode, wrong, err)
			}
		}
		if n := len(srv.seen()); n != 3 {
			t.Errorf("%s: %d requests, want 3: too many wrong signatures block a key", mode, n)
		}
	}
}

func TestKeysAreAskedForAtEachCall(t *testing.T) {
	_, store := serve(t, map[string]string{"a": "x", "b": "y"})
	asked := 0
	store.PageSize, store.Keys = 1, func(context.Context) (Keys, error) { asked++; return keys, nil }
	for o, err := range store.Objects(t.Context(), Selection{Bucket: bucket}) {
		if err != nil {
			t.Fatal(err)
		}
		fetchtest.ReadAll(t, o, 0, 1)
	}
	if asked != 4 {
		t.Errorf("asked %d times, want 4", asked)
	}
	gone := errors.New("no keys")
	store.Keys = func(context.Context) (Keys, error) { return Keys{}, gone }
	if _, err := fetchtest.Names(store.Objects(t.Context(), Selection{Bucket: bucket})); !errors.Is(err, gone) {
		t.Errorf("got %v, want the error of the keys", err)
	}
}

func TestAnExportIsReadyAndNamesItsLocation(t *testing.T) {
	_, store := serve(t, nil)
	export, err := (&Provider{store}).Export(t.Context(), fetchtest.ParseRef(t, "obs://"+bucket+"/p/?region=cn-north-4"))
	if err != nil {
		t.Fatal(err)
	}
	want := objstore.Location{Bucket: bucket, Prefix: "p/", Region: "cn-north-4", Endpoint: store.Endpoint}
	if export.State != fetch.Ready || export.Percent != -1 || export.Records != -1 || !export.Snapshot || export.Answer != want {
		t.Errorf("got %+v", export)
	}
}

// The ETag of an object that its store encrypts looks like an MD5 and is none;
// that of one that was uploaded in parts can be computed.
func TestAPrefixLandsFromTheSandbox(t *testing.T) {
	for mode, settings := range signingModes {
		t.Run(mode, func(t *testing.T) {
			srv, store := serve(t, map[string]string{"e/b/": "", "f": "x"})
			store = withMode(settings, store)
			store.PageSize = 2
			for name, f := range map[string]sandbox.File{
				"plain.csv":        {Rows: 2_000, Seed: 1},
				"b/packed.csv.zst": {Rows: 2_000, Codec: "zstd", Seed: 2, Faults: sandbox.Faults{Cut: sandbox.Cut{After: 5000, Times: 1}}},
				"parts.csv":        {Rows: 12_000, Seed: 3, Faults: sandbox.Faults{MultipartETag: 1 << 20, NoRange: true, NoCRC: true}},
				"secret.csv.gzip":  {Rows: 2_000, Codec: "gzip", Seed: 4, Encryption: "kms", Faults: sandbox.Faults{NoCRC: true}},
			} {
				srv.AddObject(bucket, "e/"+name, f)
			}
			a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
			if err != nil {
				t.Fatal(err)
			}
			f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"obs": &Provider{store}}, Archive: a, PartSize: 64 << 10, Parallel: 4}
			ref := fetchtest.ParseRef(t, "obs://"+bucket+"/e/")
			receipt, err := f.Fetch(t.Context(), ref)
			if err != nil || len(receipt.Doubts) > 0 {
				t.Fatalf("%v, %+v", err, receipt)
			}
			for name, made := range map[string]sandbox.File{
				"plain.csv": {Rows: 2_000, Seed: 1}, "b/packed.csv": {Rows: 2_000, Seed: 2}, "parts.csv": {Rows: 12_000, Seed: 3}, "secret.csv": {Rows: 2_000, Seed: 4},
			} {
				got, err := os.ReadFile(filepath.Join(a.Path(ref.Key()), "data", filepath.FromSlash(name)))
				if err != nil || string(got) != string(sandbox.Generate(made.Rows, "csv", made.Seed)) {
					t.Errorf("%s is not what the store has: %v", name, err)
				}
			}
			if err := a.Recheck(t.Context(), ref.Key(), nil); err != nil {
				t.Error(err)
			}
		})
	}
}
