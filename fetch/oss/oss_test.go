package oss

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/objstore"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
)

func TestTheAddressOfABucket(t *testing.T) {
	for _, c := range []struct {
		name  string
		ref   string
		store *Store
		url   string
		sign  string
	}{
		{"at the vendor's endpoint of the reference's region", "oss://bkt/p?region=cn-hangzhou", &Store{}, "https://bkt.oss-cn-hangzhou.aliyuncs.com/", "OSS4"},
		{"in the region as OSS itself calls it", "oss://bkt/p?region=oss-cn-hangzhou", &Store{}, "https://bkt.oss-cn-hangzhou.aliyuncs.com/", "OSS4"},
		{"in the configured region", "oss://bkt/p", &Store{Region: "eu-central-1"}, "https://bkt.oss-eu-central-1.aliyuncs.com/", "OSS4"},
		{"in the reference's region before the configured", "oss://bkt/p?region=cn-beijing", &Store{Region: "eu-central-1"}, "https://bkt.oss-cn-beijing.aliyuncs.com/", "OSS4"},
		{"within the vendor's network", "oss://bkt/p?region=cn-hangzhou", &Store{Network: hostguard.InternalNetwork}, "https://bkt.oss-cn-hangzhou-internal.aliyuncs.com/", "OSS4"},
		{"elsewhere by address, without a region", "oss://bkt/p", &Store{Endpoint: "http://127.0.0.1:1"}, "http://127.0.0.1:1/bkt/", "OSS "},
		{"elsewhere by address of IPv6", "oss://bkt/p", &Store{Endpoint: "http://[::1]:1/"}, "http://[::1]:1/bkt/", "OSS "},
		{"elsewhere by address, with a region", "oss://bkt/p?region=cn-hangzhou", &Store{Endpoint: "http://127.0.0.1:1"}, "http://127.0.0.1:1/bkt/", "OSS4"},
		{"on this machine", "oss://bkt/p", &Store{Endpoint: "http://localhost:1"}, "http://localhost:1/bkt/", "OSS "},
		{"elsewhere by name", "oss://bkt/p", &Store{Endpoint: "https://oss.example:1"}, "https://bkt.oss.example:1/", "OSS "},
		{"signed as set", "oss://bkt/p?region=cn-hangzhou", &Store{Signature: "v1"}, "https://bkt.oss-cn-hangzhou.aliyuncs.com/", "OSS "},
	} {
		t.Run(c.name, func(t *testing.T) {
			fetchtest.CheckAddress(t, c.ref, func(client *http.Client) fetch.Provider {
				c.store.Keys, c.store.Client = acs.Static(keys).Keys, client
				return &Provider{c.store}
			}, c.url, c.sign)
		})
	}
}

func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		ref   string
		store *Store
		want  string
	}{
		{"no region anywhere names the ways to say it", "oss://bkt/p", &Store{}, "export oss://bkt/p: the bucket's region is not known: add ?region=REGION to the reference"},
		{"v4 needs a region", "oss://bkt/p", &Store{Endpoint: "http://127.0.0.1:1", Signature: "v4"}, "export oss://bkt/p: the bucket's region is not known"},
		{"an unknown signature", "oss://bkt/p?region=r", &Store{Signature: "v2"}, `export oss://bkt/p?region=r: unknown signature version "v2", want v4 or v1`},
		{"an endpoint without a scheme, which the SDK takes for http", "oss://bkt/p", &Store{Endpoint: "oss.example"}, "export oss://bkt/p: endpoint oss.example: want http://HOST:PORT"},
		{"an endpoint with a password", "oss://bkt/p", &Store{Endpoint: "http://u:canary@h"}, "export oss://bkt/p: endpoint http://h: want http://HOST:PORT"},
		{"a region that is a host", "oss://bkt/p?region=evil.example", &Store{}, `export oss://bkt/p?region=evil.example: region "evil.example": want lower-case letters`},
		{"a bucket that can't be", "oss://Bucket.x/p?region=r", &Store{}, `export oss://Bucket.x/p?region=r: bucket "Bucket.x": want 3 to 63 lower-case letters`},
		{"a bucket that is too short", "oss://ab/p?region=r", &Store{}, `export oss://ab/p?region=r: bucket "ab": want 3 to 63`},
	} {
		t.Run(c.name, func(t *testing.T) { fetchtest.CheckUnsupported(t, &Provider{c.store}, c.ref, c.want, ErrNoRegion) })
	}
	if _, err := (&Provider{&Store{}}).Export(t.Context(), fetchtest.ParseRef(t, "foreign://a/b/c")); err == nil || !strings.Contains(err.Error(), "not a reference to objects of OSS") {
		t.Errorf("of another scheme: got %v", err)
	}
}

func TestSignaturesHoldWithEveryKindOfKey(t *testing.T) {
	for _, version := range []string{"v1", "v4"} {
		for name, k := range map[string]acs.Keys{"keys": keys, "keys of STS": sts} {
			t.Run(version+" with "+name, func(t *testing.T) {
				objects := map[string]*object{"e/a b+c?/%.csv": {body: "1"}, "e/é,;'()*~!.csv": {body: "22"}, "e/z": {body: "333"}}
				srv, store := serve(t, objects)
				srv.keys, store.Keys, store.Signature, store.PageSize = k, acs.Static(k).Keys, version, 1
				for o, err := range store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e/"}) {
					if err != nil {
						t.Fatal(err)
					}
					if got := fetchtest.ReadAll(t, o, 0, 10); got != objects["e/"+o.Name].body {
						t.Errorf("%s: read %q", o.Name, got)
					}
				}
				if n := len(srv.seen()); n != 6 {
					t.Errorf("%d requests, want 3 pages and 3 objects", n)
				}
			})
		}
	}
}

func TestKeysAreAskedForAtEachCall(t *testing.T) {
	srv, store := serve(t, map[string]*object{"a": {body: "x"}, "b": {body: "y"}})
	current := keys
	store.PageSize, store.Keys = 1, func(context.Context) (acs.Keys, error) { return current, nil }
	for o, err := range store.Objects(t.Context(), Selection{Bucket: bucket}) {
		if err != nil {
			t.Fatal(err)
		}
		current = acs.Keys{AccessKeyID: "id of " + o.Name, AccessKeySecret: "secret", SecurityToken: "token"}
		srv.keys = current
		fetchtest.ReadAll(t, o, 0, 1)
	}
	gone := errors.New("no keys")
	store.Keys = func(context.Context) (acs.Keys, error) { return acs.Keys{}, gone }
	if _, err := fetchtest.Names(store.Objects(t.Context(), Selection{Bucket: bucket})); !errors.Is(err, gone) {
		t.Errorf("got %v, want the error of the keys", err)
	}
}

func TestAnExportIsReadyAndNamesItsLocation(t *testing.T) {
	_, store := serve(t, map[string]*object{"p/a.csv": {body: "x"}})
	export, err := (&Provider{store}).Export(t.Context(), fetchtest.ParseRef(t, "oss://"+bucket+"/p/"))
	if err != nil {
		t.Fatal(err)
	}
	want := objstore.Location{Bucket: bucket, Prefix: "p/", Region: "cn-hangzhou", Endpoint: store.Endpoint}
	if export.State != fetch.Ready || export.Percent != -1 || export.Records != -1 || export.Answer != want {
		t.Errorf("got %+v", export)
	}
}

func TestSeveralObjectsLand(t *testing.T) {
	many := string(sandbox.Generate(20_000, "csv", 1))
	srv, store := serve(t, map[string]*object{
		"e/a.csv.zst": {body: string(sandbox.Compress("zstd", []byte(many)))}, "e/b/c.csv": {body: many}, "e/b/": {}, "e/d.csv": {body: "n\n1\n"},
	})
	store.PageSize = 1
	a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"oss": &Provider{store}}, Archive: a, PartSize: 64 << 10, Parallel: 4}
	ref := fetchtest.ParseRef(t, "oss://"+bucket+"/e/")
	receipt, err := f.Fetch(t.Context(), ref)
	if err != nil || len(receipt.Doubts) > 0 {
		t.Fatalf("%v, %+v", err, receipt)
	}
	for name, want := range map[string]string{"a.csv": many, "b/c.csv": many, "d.csv": "n\n1\n"} {
		got, err := os.ReadFile(filepath.Join(a.Path(ref.Key()), "data", filepath.FromSlash(name)))
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the store has: %v", name, err)
		}
	}
	if n := len(srv.seen()); n < 4+2*3 {
		t.Errorf("%d requests, which is not by ranges", n)
	}
}

func TestObjectsWhoseETagIsNoHashLand(t *testing.T) {
	body := strings.Repeat("n,m\n", 50_000)
	sum := md5.Sum([]byte(body))
	for _, c := range []struct {
		name   string
		header map[string]string
		doubts int
	}{
		{"one that was appended to", map[string]string{"x-oss-object-type": "Appendable"}, 0},
		{"one without a CRC64, which proves nothing", map[string]string{"x-oss-object-type": "Appendable", "x-oss-hash-crc64ecma": ""}, 1},
		{"a symbolic link, by the MD5 of what it leads to", map[string]string{
			"x-oss-object-type": "Symlink", "x-oss-hash-crc64ecma": "0", "Content-MD5": base64.StdEncoding.EncodeToString(sum[:]),
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.header["ETag"] = `"0F7230CAA4BE94CCBDC99C5500000000"`
			_, store := serve(t, map[string]*object{"e/a.csv": {body: body, header: c.header}})
			a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
			if err != nil {
				t.Fatal(err)
			}
			f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"oss": &Provider{store}}, Archive: a, PartSize: 64 << 10, Parallel: 2}
			receipt, err := f.Fetch(t.Context(), fetchtest.ParseRef(t, "oss://"+bucket+"/e/"))
			if err != nil || len(receipt.Doubts) != c.doubts {
				t.Errorf("%v, %+v", err, receipt)
			}
		})
	}
}
