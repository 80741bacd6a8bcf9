package fetch_test

import (
	"context"
	"fmt"
	"iter"
	"log"
	"os"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
	"tallyman/verify/archive"
)

func ExampleParseRef() {
	ref, err := fetch.ParseRef("sls://cn-hangzhou/ali-test-project/download-123")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ref.Scheme(), ref.Parts())
	fmt.Println(ref.Key())

	_, err = fetch.ParseRef("sls://cn-hangzhou/ali-test-project")
	fmt.Println(err)
	// Output:
	// sls [cn-hangzhou ali-test-project download-123]
	// sls/cn-hangzhou/ali-test-project/download-123
	// reference "sls://cn-hangzhou/ali-test-project": it names a whole project, and no export in it: want sls://REGION/PROJECT/JOB
}

func ExampleRef_Job() {
	place, err := fetch.ParsePlace("sls://cn-hangzhou/ali-test-project")
	if err != nil {
		log.Fatal(err)
	}
	ref, err := place.Job("download-123")
	fmt.Println(place, ref, err)
	// Output:
	// sls://cn-hangzhou/ali-test-project/ sls://cn-hangzhou/ali-test-project/download-123 <nil>
}

func ExampleFetcher() {
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := archive.Open(dir, "", archive.SiteEmpty)
	if err != nil {
		log.Fatal(err)
	}
	f := &fetch.Fetcher{
		Providers: map[string]fetch.Provider{"oss": fetchtest.NewMemory(fetchtest.NewFile("rows.csv", []byte("a,b\n1,2\n")))},
		Archive:   store,
	}
	ref, err := fetch.ParseRef("oss://bucket/exports/")
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := f.Fetch(context.Background(), ref)
	if err != nil {
		log.Fatal(err)
	}
	for _, o := range receipt.Objects {
		fmt.Println(o.Name, o.Size, o.Proof)
	}
	// Output:
	// rows.csv 8 crc64
}

// A journal is a provider of one job, whose file is in memory.
type journal struct{ file *fetchtest.File }

// The package of a provider registers how its references are written.
func init() {
	fetch.RegisterScheme(fetch.Scheme{Name: "journal", Segments: []fetch.Segment{
		{Name: "REGION", Kind: fetch.Label}, {Name: "DAY"},
	}})
}

func (j journal) Export(_ context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if ref.Scheme() != "journal" || ref.IsPlace() {
		return nil, fmt.Errorf("export %s: not a journal", ref)
	}
	objects := func(yield func(fetch.Object, error) bool) { yield(j.file.Object(), nil) }
	return &fetch.Export{State: fetch.Ready, Status: "closed", Percent: -1, Records: verify.Unknown, Objects: objects}, nil
}

func (j journal) List(_ context.Context, place fetch.Ref, _ time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		ref, err := place.Job(strings.TrimSuffix(j.file.Name, ".csv"))
		yield(fetch.Listed{Ref: ref, State: fetch.Ready, Status: "closed"}, err)
	}
}

func ExampleProvider() {
	provider := journal{fetchtest.NewFile("2026-01-02.csv", []byte("a,b\n1,2\n"))}
	place, err := fetch.ParsePlace("journal://north/")
	if err != nil {
		log.Fatal(err)
	}
	for job, err := range provider.List(context.Background(), place, time.Time{}) {
		fmt.Println(job.Ref, job.State, err)
	}
	// Output:
	// journal://north/2026-01-02 ready <nil>
}
