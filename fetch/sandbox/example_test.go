package sandbox_test

import (
	"fmt"
	"io"
	"net/http"
	"os"

	"tallyman/fetch/sandbox"
)

// A cloud with one job, whose file is busy once and is then fetched by its URL.
func ExampleCloud() {
	cloud := sandbox.New(sandbox.Options{AccessKeyID: "id", AccessKeySecret: "secret"})
	cloud.AddJob("project", sandbox.Job{Name: "job", File: sandbox.File{
		Body:   []byte("level,message\nINFO,hello\n"),
		Faults: sandbox.Faults{Busy: 1},
	}})
	origin, stop, err := cloud.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	for range 2 {
		response, err := http.Get(cloud.JobURL(origin, "project", "job"))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(response.Status)
		if response.StatusCode == http.StatusOK {
			fmt.Println("CRC64", response.Header.Get("x-oss-hash-crc64ecma"))
			io.Copy(os.Stdout, response.Body)
		}
		response.Body.Close()
	}
	fmt.Println(cloud.Counts().Jobs["project/job"].Requests, "requests")
	// Output:
	// 503 Service Unavailable
	// 200 OK
	// CRC64 14950574449431268690
	// level,message
	// INFO,hello
	// 2 requests
}
