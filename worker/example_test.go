package worker_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// Local waits for an export's job and fetches the export, in this process and
// without a Redis.
func ExampleLocal() {
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	a, err := archive.Open(dir, "", archive.SiteEmpty)
	if err != nil {
		log.Fatal(err)
	}
	provider := fetchtest.NewMemory(fetchtest.NewFile("orders.csv", []byte("id,name\n1,crate\n2,barrel\n")))
	local := worker.StartLocal(&worker.Worker{
		Archive:         a,
		Fetcher:         &fetch.Fetcher{Archive: a, Providers: map[string]fetch.Provider{"sls": provider}},
		PollConcurrency: 4, FetchConcurrency: 2,
		Wait: time.Hour, PollInterval: 2 * time.Second,
	})
	defer local.Close()

	ref, err := fetch.ParseRef("sls://cn-hangzhou/project/download-1")
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := local.Fetch(context.Background(), ref)
	if err != nil {
		log.Fatal(worker.Classify(err).Cause, ": ", err)
	}
	fmt.Println(receipt.Key, "has", receipt.Files, "file of", receipt.Bytes, "bytes")
	// Output: sls/cn-hangzhou/project/download-1 has 1 file of 25 bytes
}
