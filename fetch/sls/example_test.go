package sls_test

import (
	"context"
	"fmt"
	"log"

	"tallyman/fetch"
	"tallyman/fetch/sandbox"
	"tallyman/fetch/sls"
)

// A job is asked for once. What waits until it is ready is the caller.
func ExampleProvider_Export() {
	cloud := sandbox.New(sandbox.Options{AccessKeyID: "id", AccessKeySecret: "secret"})
	cloud.AddJob("my-project", sandbox.Job{
		Name: "download-123", Statuses: []string{"RUNNING", "SUCCEEDED"},
		File: sandbox.File{Rows: 1000, Codec: "zstd"},
	})
	endpoint, stop, err := cloud.Start()
	if err != nil {
		log.Fatal(err)
	}
	defer stop()

	provider := &sls.Provider{
		Keys:     sls.StaticKeys("id", "secret", ""),
		Endpoint: endpoint,                                                         // "" would be the vendor's
		Open:     func(signedURL string) (fetch.Source, error) { return nil, nil }, // web.Open reads it
	}
	ref, err := fetch.ParseRef("sls://cn-hangzhou/my-project/download-123")
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		export, err := provider.Export(context.Background(), ref)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s (%s)\n", export.State, export.Status)
		if export.State != fetch.Ready {
			continue
		}
		for object, err := range export.Objects {
			fmt.Println(object.Name, object.Encoding, object.Content, export.Records, "records", err)
		}
	}
	// Output:
	// running (RUNNING)
	// ready (SUCCEEDED)
	// download-123.csv.zst zstd csv 1000 records <nil>
}
