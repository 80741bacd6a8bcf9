package fetch_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify/archive"
)

// landManyVar makes the test binary a process that lands that many objects.
const landManyVar = "FETCH_TEST_LAND_MANY"

// manyObjects returns a provider of a snapshot of n small objects, each made when
// it is listed.
func manyObjects(n int) fetch.Provider {
	objects := func(yield func(fetch.Object, error) bool) {
		for i := range n {
			name := fmt.Sprintf("2025/08/%02d/part-%08d.csv", i%31+1, i)
			if !yield(fetchtest.NewFile(name, fmt.Appendf(nil, "a,b\n%d,2\n", i)).Object(), nil) {
				return
			}
		}
	}
	return fetchtest.ProviderFunc(func(context.Context, fetch.Ref) (*fetch.Export, error) {
		return &fetch.Export{State: fetch.Ready, Snapshot: true, Records: 2 * int64(n), Objects: objects}, nil
	})
}

// landMany lands n objects in an archive at dir, and returns the most memory that
// the process ever had, in KiB.
func landMany(dir string, n int) (peak string, err error) {
	a, err := archive.Open(dir, "", archive.SiteEmpty)
	if err != nil {
		return "", err
	}
	ref, err := fetch.ParseRef("oss://bucket/many/")
	if err != nil {
		return "", err
	}
	f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"oss": manyObjects(n)}, Archive: a}
	receipt, err := f.Fetch(context.Background(), ref)
	if err != nil {
		return "", err
	}
	if receipt.Files != n || len(receipt.Doubts) > 0 {
		return "", fmt.Errorf("%d files, doubts %q", receipt.Files, receipt.Doubts)
	}
	status, err := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	peak, _, _ = strings.Cut(strings.TrimSpace(after), " ")
	return peak, err
}
