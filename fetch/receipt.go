package fetch

import (
	"cmp"
	"errors"
	"fmt"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// ErrReceiptMismatch is an error of a promise that what has landed before does
// not keep: another attempt would transfer nothing.
var ErrReceiptMismatch = errors.New("what has landed")

// landed is the receipt of an export that has landed, or fs.ErrNotExist. It is
// an ErrReceiptMismatch if the reference promises what those bytes don't keep.
func (f *Fetcher) landed(ref Ref) (*archive.Receipt, error) {
	receipt, err := f.Archive.Landed(ref.Key())
	if err == nil {
		err = CheckReceipt(ref, receipt)
	}
	if err != nil {
		return nil, err
	}
	return receipt, nil
}

// CheckReceipt holds what has landed to what a reference to it promises. If those bytes
// don't keep it, the error is an ErrReceiptMismatch and a *verify.Mismatch.
func CheckReceipt(ref Ref, receipt *archive.Receipt) error {
	if err := compare(ref, receipt); err != nil {
		return fmt.Errorf("compare %s with %w: %w", ref, ErrReceiptMismatch, err)
	}
	return nil
}

// compare holds a receipt to the promises of a reference, which are of one
// file, as far as the receipt tells.
func compare(ref Ref, receipt *archive.Receipt) error {
	if len(receipt.Objects) != 1 {
		return nil
	}
	object := receipt.Objects[0]
	landed := verify.Want{Size: object.Size, MD5: md5Of(object), CRC64: object.CRC64}
	if _, err := ref.Want().Merge(object.Name, landed); err != nil {
		return err
	}
	count, promised := verify.CheckCounts(ref.Records(), object.Counts())
	if !promised || count.Verdict != verify.Broken || promisedBefore(receipt, count) {
		return nil
	}
	return &verify.Mismatch{Object: object.Name, Check: count.Check, Got: count.Got, Want: count.Want}
}

// md5Of is the MD5 of an object if it was found or promised, or "".
func md5Of(object archive.Object) string {
	for _, c := range object.Checks {
		hash := c.Check == verify.CheckMD5 || c.Check == verify.CheckETag
		if hash && len(c.Got) == 32 { // no ETag of parts
			return c.Got
		}
	}
	return cmp.Or(object.Job.MD5, object.Store.MD5)
}

// promisedBefore reports whether the export landed under the same promise: that
// it was broken is a doubt of the receipt.
func promisedBefore(receipt *archive.Receipt, count verify.Check) bool {
	for _, c := range receipt.Checks {
		if c.Check == count.Check && c.Want == count.Want {
			return true
		}
	}
	return false
}
