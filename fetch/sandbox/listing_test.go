package sandbox

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// listedPage is a page as a client reads it.
type listedPage struct {
	XMLName                                  xml.Name `xml:"ListBucketResult"`
	Name, Prefix, Marker, NextMarker         string
	StartAfter, ContinuationToken, Delimiter string
	NextContinuationToken, EncodingType      string
	MaxKeys, KeyCount                        int
	IsTruncated                              bool
	Contents                                 []listedItem
	CommonPrefixes                           []struct{ Prefix string }
}

type listedItem struct {
	Key, LastModified, ETag, Type, StorageClass string
	Size                                        int
	Owner                                       *owner
}

func (p listedPage) items() []string {
	var items []string
	for _, o := range p.Contents {
		items = append(items, o.Key)
	}
	for _, o := range p.CommonPrefixes {
		items = append(items, o.Prefix)
	}
	return items
}

func listOSS(t *testing.T, base, query string) listedPage {
	t.Helper()
	g := askOSS(t, "GET", base, "/own/?"+query)
	var p listedPage
	if err := xml.Unmarshal([]byte(g.body), &p); err != nil || g.status != 200 {
		t.Fatalf("%s: %d %v %s", query, g.status, err, g.body)
	}
	return p
}

func TestListingHasEveryObjectOnce(t *testing.T) {
	keys := []string{"a", "a/1", "a/2", "a/b/3", "a0", "b/+ &<%.x", "b/ü", "c"}
	c, base := withObjects(t, keys...)
	c.AddObject("own", "a/gone", File{Gone: true})
	c.AddBucket("own", Bucket{PageSize: 3})
	for _, row := range []struct {
		query string
		items []string
		pages int
	}{
		{"", keys, 3},
		{"max-keys=1000", keys, 3},
		{"max-keys=1", keys, 8},
		{"max-keys=2", keys, 4},
		{"prefix=a/&max-keys=2", []string{"a/1", "a/2", "a/b/3"}, 2},
		{"prefix=none", nil, 1},
		{"delimiter=/&max-keys=1", []string{"a", "a/", "a0", "b/", "c"}, 5},
		{"delimiter=/&prefix=a/", []string{"a/1", "a/2", "a/b/"}, 1},
		{"prefix=b/&encoding-type=url", []string{"b%2F%2B%20%26%3C%25.x", "b%2F%C3%BC"}, 1},
	} {
		for version, next := range map[string]func(listedPage) (string, string){
			"":            func(p listedPage) (string, string) { return "marker", p.NextMarker },
			"list-type=2": func(p listedPage) (string, string) { return "continuation-token", p.NextContinuationToken },
		} {
			var items []string
			query, pages := version+"&"+row.query, 0
			for more := ""; ; pages++ {
				p := listOSS(t, base, query+more)
				items = append(items, p.items()...)
				name, at := next(p)
				if strings.Contains(query, "encoding-type") {
					at, _ = url.QueryUnescape(at)
				}
				more = "&" + name + "=" + url.QueryEscape(at)
				if p.IsTruncated != (at != "") {
					t.Errorf("%s: truncated %t, next %q", query, p.IsTruncated, at)
				}
				if !p.IsTruncated {
					pages++
					break
				}
			}
			slices.Sort(items)
			wantEqual(t, "items of "+query, items, row.items)
			if pages != row.pages {
				t.Errorf("%s: got %d pages, want %d", query, pages, row.pages)
			}
		}
	}
}

func TestListingHasItsParametersAndTheObjectsMetadata(t *testing.T) {
	c, base := withObjects(t, "p/a")
	c.AddObject("own", "p/b", File{Body: []byte("123456789"), LastModified: time.Date(2025, 1, 2, 3, 4, 5, 6e6, time.UTC), StorageClass: "Archive",
		Faults: Faults{MultipartETag: 4}})
	p := listOSS(t, base, "list-type=2&prefix=p/&start-after=p/a&max-keys=7")
	wantEqual(t, "listing", p, listedPage{
		XMLName: xml.Name{Local: "ListBucketResult"}, Name: "own", Prefix: "p/", StartAfter: "p/a", MaxKeys: 7, KeyCount: 1,
		Contents: []listedItem{{Key: "p/b", LastModified: "2025-01-02T03:04:05.000Z", ETag: `"` + newVersion([]byte("123456789"), 4).etag + `"`,
			Type: "Multipart", StorageClass: "Archive", Size: 9}},
	})
	if g := askOSS(t, "GET", base, "/own/"); !strings.Contains(g.body, `<ETag>"`) || g.header.Get("Content-Type") != "application/xml" {
		t.Errorf("got %s", g.body)
	}
	if p := listOSS(t, base, "marker=p/a"); p.Marker != "p/a" || len(p.Contents) != 1 || p.Contents[0].Owner == nil || p.MaxKeys != 100 {
		t.Errorf("got %+v", p)
	}
	if p := listOSS(t, base, "list-type=2&fetch-owner=true"); p.Contents[0].Owner == nil {
		t.Errorf("got %+v", p)
	}
	if n := c.Counts(); n.Calls["ListObjectsV2"] != 2 || n.Calls["ListObjects"] != 2 || n.Requests != 0 {
		t.Errorf("got %+v", n)
	}
}

func TestListingIsBusyAsOftenAsSet(t *testing.T) {
	c, base := withObjects(t, "f")
	c.AddBucket("own", Bucket{Busy: 2})
	for i, want := range []int{503, 503, 200} {
		if g := askOSS(t, "GET", base, "/own/?list-type=2"); g.status != want {
			t.Errorf("listing %d: %d", i, g.status)
		}
	}
}

func TestManyObjectsAreCheapAndAllListed(t *testing.T) {
	many := 10_000
	if testing.Short() {
		many = 2_000
	}
	c, base := startCloud(t)
	next := many
	add := func() {
		next--
		c.AddObject("own", fmt.Sprintf("many/%05d.csv", next), File{Body: []byte("x\n1\n")})
	}
	if allocations := testing.AllocsPerRun(many-1, add); allocations > 25 {
		t.Errorf("an object takes %v allocations", allocations)
	}
	count := 0
	for page := range many / 1000 {
		g := askOSS(t, "GET", base, fmt.Sprintf("/own/?list-type=2&max-keys=1000&prefix=many/&start-after=many/%05d.csv", page*1000-1))
		count += strings.Count(g.body, "<Key>many/")
		if last := page == many/1000-1; strings.Contains(g.body, "<IsTruncated>true<") == last {
			t.Errorf("page %d: last %t", page, last)
		}
	}
	if count != many {
		t.Errorf("%d objects", count)
	}
}

func TestRemovedAndReplacedObjectsAreListedAsTheyAre(t *testing.T) {
	c, base := withObjects(t, "a", "b")
	listOSS(t, base, "")
	c.RemoveObject("own", "a")
	c.RemoveObject("none", "a")
	c.AddObject("own", "c", File{Body: []byte("c")})
	c.AddObject("own", "b", File{Body: []byte("longer")})
	p := listOSS(t, base, "")
	wantEqual(t, "items", p.items(), []string{"b", "c"})
	wantEqual(t, "keys", c.Keys("own"), []string{"b", "c"})
	if p.Contents[0].Size != 6 || c.Keys("none") != nil {
		t.Errorf("got size %d and keys %q of a bucket that does not exist, want 6 and none", p.Contents[0].Size, c.Keys("none"))
	}
}
