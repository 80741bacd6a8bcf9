package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// crowdVar makes the test binary a process that lands so many objects.
const crowdVar = "FETCH_TEST_CROWD"

// A crowd is a snapshot of many small objects.
type crowd int

func (c crowd) Export(context.Context, fetch.Ref) (*fetch.Export, error) {
	return &fetch.Export{State: fetch.Ready, Snapshot: true, Records: 2 * int64(c), Objects: c.objects()}, nil
}

func (c crowd) objects() iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		for i := range int(c) {
			body := fmt.Appendf(nil, "a,b\n%d,2\n", i)
			o := fetch.Object{
				Name:   fmt.Sprintf("2025/08/%02d/part-%08d.csv", i%31+1, i),
				Want:   verify.Want{Size: int64(len(body)), ETag: etagOf(body), CRC64: crcOf(body)},
				Source: memory(body),
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// memory is the source of an object that it is.
type memory []byte

func (m memory) ReadRange(_ context.Context, off, n int64, _ string) (*fetch.Range, error) {
	end := int64(len(m))
	if n != verify.Unknown {
		end = min(end, off+n)
	}
	return &fetch.Range{ReadCloser: io.NopCloser(bytes.NewReader(m[off:end])), Off: off, Len: end - off,
		Want: verify.Want{Size: int64(len(m)), ETag: etagOf(m), CRC64: crcOf(m)}}, nil
}

// landCrowd lands the crowd in an archive below dir and tells the most memory
// that the process ever had, in KiB.
func landCrowd(dir string, n int) (peak string, err error) {
	a, err := archive.Open(dir)
	if err != nil {
		return "", err
	}
	ref, err := fetch.ParseRef("oss://bucket/crowd/")
	if err != nil {
		return "", err
	}
	f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"oss": crowd(n)}, Archive: a}
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
