package archive_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// An attempt at an export receives each object in parts, reads its wire, writes its
// content, and commits.
func ExampleArchive() {
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	a, err := archive.Open(dir, "", archive.SiteEmpty)
	if err != nil {
		log.Fatal(err)
	}
	const reference, key = "sls://cn-hangzhou/project/job", "sls/cn-hangzhou/project/job"
	if err := receiveExport(context.Background(), a, reference, key, "time,level\n1,INFO\n"); err != nil {
		log.Fatal(err)
	}
	receipt, err := a.Landed(key)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d bytes in %d file, %d records with the header, proven by %s\n", receipt.Bytes, receipt.Files, receipt.Records, receipt.Objects[0].Proof)
	fmt.Println("recheck:", a.Recheck(context.Background(), key, nil))
	// Output:
	// 18 bytes in 1 file, 2 records with the header, proven by crc64
	// recheck: <nil>
}

// receiveExport makes one attempt at an export with one object.
func receiveExport(ctx context.Context, a *archive.Archive, reference, key, body string) error {
	in, err := a.Begin(ctx, reference, key)
	if err != nil {
		return err
	}
	defer in.Close()
	want := verify.Want{Size: int64(len(body)), CRC64: "13670830204977317812"}
	partial, err := in.Partial(ctx, "export.csv", want)
	if err != nil {
		return err
	}
	defer partial.Close()
	if err := partial.AddPromise(verify.Want{Size: want.Size, ETag: `"v1"`}); err != nil { // what the store answered
		return err
	}
	for part := range partial.Missing(want.Size, 8<<20) {
		off, n := part.Remaining()
		if _, err := io.WriteString(part, body[off:off+n]); err != nil { // the bytes of one request
			return err
		}
	}
	content, err := partial.Create("export.csv", "csv", false)
	if err != nil {
		return err
	}
	if _, err := io.Copy(content, partial.Wire(ctx)); err != nil {
		return err
	}
	if err := content.Close(); err != nil {
		return err
	}
	if err := partial.Finish("", false); err != nil {
		return err
	}
	_, err = in.Commit(archive.Summary{Reference: reference, Status: "SUCCEEDED", Records: 1})
	return err
}
