package fetch

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// ErrReceiptMismatch says that what landed before differs from what the
// reference promises. Another attempt would transfer nothing.
var ErrReceiptMismatch = errors.New("what has landed")

// CheckReceipt compares the receipt of what landed with what the reference
// promises of its one file, as far as the receipt tells. If they differ, the
// error is an ErrReceiptMismatch and a *verify.Mismatch.
func CheckReceipt(ref Ref, receipt *archive.Receipt) error {
	if len(receipt.Objects) != 1 {
		return nil
	}
	object := receipt.Objects[0]
	_, err := ref.Want().Merge(object.Name, hashesOf(object))
	if err == nil {
		count, promised := verify.CheckCounts(ref.Records(), object.Counts())
		landedSo := slices.ContainsFunc(receipt.Checks, func(c verify.Check) bool { // then that is a doubt of the receipt
			return c.Check == count.Check && c.Want == count.Want
		})
		if !promised || count.Verdict != verify.Broken || landedSo {
			return nil
		}
		err = &verify.Mismatch{Object: object.Name, Check: count.Check, Got: count.Got, Want: count.Want}
	}
	return fmt.Errorf("compare %s with %w: %w", ref, ErrReceiptMismatch, err)
}

// hashesOf returns the size of an object that landed and its hashes, as far as they
// are known.
func hashesOf(object archive.Object) verify.Want {
	landed := verify.Want{Size: object.Size, MD5: cmp.Or(object.Job.MD5, object.Store.MD5), CRC64: object.CRC64}
	found := slices.IndexFunc(object.Checks, func(c verify.Check) bool {
		return (c.Check == verify.CheckMD5 || c.Check == verify.CheckETag) && len(c.Got) == 32 // no ETag of parts
	})
	if found >= 0 {
		landed.MD5 = object.Checks[found].Got
	}
	return landed
}
