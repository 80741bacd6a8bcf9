package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"sync"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// An OtherFileError says that the query of a signed URL, which is hidden, names
// another file than the one that landed under the same address. It wraps
// ErrReceiptMismatch and a *verify.Mismatch.
type OtherFileError struct {
	Ref Ref
	Err error
}

// Error says in what the files differ.
func (e *OtherFileError) Error() string {
	return fmt.Sprintf("compare %s with %v: its query names another file: %v", e.Ref, ErrReceiptMismatch, e.Err)
}

// Unwrap returns ErrReceiptMismatch and the mismatch.
func (e *OtherFileError) Unwrap() []error { return []error{ErrReceiptMismatch, e.Err} }

// Landed returns the receipt of the export that ref names, or fs.ErrNotExist if that
// has not landed. If ref promises otherwise than what landed, the error is an
// ErrReceiptMismatch and a *verify.Mismatch.
//
// Signed URLs that differ in their query alone have one key. So if something landed
// for another query, Landed compares it, and whatever else landed under the key, by
// the promises of ref or by what the store says now. It returns the receipt of the
// same file, an *OtherFileError if there is none, or, if that can't be told any more,
// the receipt with the doubt "not compared".
//
// An export that is to be repaired has landed once what it replaces is whole.
func (f *Fetcher) Landed(ctx context.Context, ref Ref) (*archive.Receipt, error) {
	receipt, err := f.Archive.Landed(ref.Key())
	if ref.repair && errors.Is(err, fs.ErrNotExist) {
		repaired := ref
		repaired.repair = false
		if whole, damage := f.Archive.Repaired(repaired.Key()); damage == nil { // by another attempt
			ref, receipt, err = repaired, whole, nil
		}
	}
	if err == nil && receipt.Hidden != f.Archive.HashHidden(ref.query) {
		receipt, err = f.landedFile(ctx, ref, receipt)
	}
	if err == nil {
		err = CheckReceipt(ref, receipt)
	}
	if err != nil {
		return nil, err
	}
	receipt.Earlier = true
	return receipt, nil
}

// landedFile finds the file that ref names among all that landed under its key.
func (f *Fetcher) landedFile(ctx context.Context, ref Ref, first *archive.Receipt) (*archive.Receipt, error) {
	landed, err := f.landedBeside(ref, first)
	if err != nil {
		return nil, err
	}
	hidden := f.Archive.HashHidden(ref.query)
	for _, receipt := range landed {
		if receipt.Hidden == hidden {
			return receipt, nil
		}
	}
	receipt, err := findFile(landed, ref.Want())
	if errors.Is(err, errNotComparable) {
		var now verify.Want
		if now, err = f.peek(ctx, ref); err == nil {
			receipt, err = findFile(landed, now)
		}
	}
	_, differs := errors.AsType[*verify.Mismatch](err)
	switch {
	case err == nil:
		return receipt, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, ErrDrained):
		return nil, err
	case differs:
		return nil, &OtherFileError{ref, err}
	}
	first.Doubts = append(first.Doubts, fmt.Sprintf("not compared: it landed for another query of this address, and may be another file: %v", err))
	return first, nil
}

// landedBeside returns the receipt of ref, and those of its revisions.
func (f *Fetcher) landedBeside(ref Ref, first *archive.Receipt) ([]*archive.Receipt, error) {
	landed := []*archive.Receipt{first}
	keys, err := f.Archive.Revisions(ref.Key())
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		receipt, err := f.Archive.Landed(key)
		if err != nil {
			return nil, err
		}
		landed = append(landed, receipt)
	}
	return landed, nil
}

var errNotComparable = errors.New("nothing that is known of both can be compared")

// findFile returns the receipt of the file of which now is promised. If it is none of
// those that landed, the error is a *verify.Mismatch with the first of them. If it may
// be one of them, the error is errNotComparable.
func findFile(landed []*archive.Receipt, now verify.Want) (*archive.Receipt, error) {
	var first error
	for _, receipt := range landed {
		err := errNotComparable
		if len(receipt.Objects) == 1 {
			err = sameFile(receipt.Objects[0], now)
		}
		if err == nil {
			return receipt, nil
		}
		if first == nil || errors.Is(err, errNotComparable) {
			first = err
		}
	}
	return nil, first
}

// sameFile compares an object that landed with what is promised now. A hash decides,
// else two strong ETags, else the time of the last change.
func sameFile(landed archive.Object, now verify.Want) error {
	was := hashesOf(landed)
	hashes := verify.Want{Size: now.Size, MD5: now.MD5, CRC64: now.CRC64, SHA256: now.SHA256}
	if _, err := hashes.Merge(landed.Name, was); err != nil {
		return err
	}
	was.ETag, was.Modified = landed.Store.ETag, landed.Store.Modified
	switch {
	case now.CRC64 != "" || now.MD5 != "" && was.MD5 != "" || now.SHA256 != "" && was.SHA256 != "":
		return nil
	case was.ETag != "" && now.ETag != "" && !verify.SameETag(was.ETag, now.ETag):
		return &verify.Mismatch{Object: landed.Name, Check: verify.CheckETag, Got: was.ETag, Want: now.ETag}
	case verify.IsStrongETag(was.ETag) && verify.IsStrongETag(now.ETag):
		return nil
	case was.Modified == "" || now.Modified == "":
		return errNotComparable
	case was.Modified != now.Modified:
		return &verify.Mismatch{Object: landed.Name, Check: "last modification", Got: was.Modified, Want: now.Modified}
	}
	return nil
}

// peekSize is how many bytes of a file are read, at most, to tell whether it landed.
const peekSize = 1 << 20

// peekSlots bounds how many files are peeked at once.
type peekSlots struct {
	once  sync.Once
	slots chan struct{}
}

// peek returns what the store promises of the file that ref names. If it gives no
// CRC64, and the file is small, peek reads it.
func (f *Fetcher) peek(ctx context.Context, ref Ref) (now verify.Want, err error) {
	f.peeks.once.Do(func() { f.peeks.slots = make(chan struct{}, cmp.Or(f.Parallel, 8)) })
	select {
	case f.peeks.slots <- struct{}{}:
		defer func() { <-f.peeks.slots }()
	case <-ctx.Done():
		return now, context.Cause(ctx)
	}
	wait := cmp.Or(f.retryWait, defaultRetryWait)
	for try := 1; ; try++ {
		if now, err = f.peekOnce(ctx, ref); err == nil || try == maxTries || !retryable(err) {
			return now, err
		}
		if err := Sleep(ctx, wait); err != nil {
			return now, err
		}
		wait *= 2
	}
}

func (f *Fetcher) peekOnce(ctx context.Context, ref Ref) (now verify.Want, err error) {
	timeout := cmp.Or(f.IdleTimeout, 30*time.Second)
	ctx, stop := context.WithTimeoutCause(ctx, timeout, &transferError{fmt.Sprintf("it did not come within %v", timeout), errIdle})
	defer stop()
	export, err := f.ask(ctx, f.Providers[ref.Scheme()], ref)
	if err != nil {
		return now, err
	}
	for object, err := range export.Objects {
		if err != nil {
			return now, err
		}
		answer, err := object.Source.ReadRange(ctx, 0, peekSize, "")
		if err != nil {
			return now, err
		}
		defer answer.Close()
		now = answer.Want
		if now.CRC64 != "" || now.Size > peekSize || answer.Off > 0 {
			return now, nil
		}
		crc := crc64.New(crc64.MakeTable(crc64.ECMA))
		n, err := io.Copy(crc, io.LimitReader(answer, peekSize+1))
		switch {
		case err != nil:
			return now, &transferError{"read " + object.Name, err}
		case n > peekSize || now.Size != verify.Unknown && n != now.Size: // not all of it
			return now, nil
		}
		now.Size, now.CRC64 = n, strconv.FormatUint(crc.Sum64(), 10)
		return now, nil
	}
	return now, ErrNotFound
}

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
	landed := verify.Want{Size: object.Size, MD5: cmp.Or(object.Job.MD5, object.Store.MD5), CRC64: object.CRC64, SHA256: cmp.Or(object.WireSHA256, object.Job.SHA256)}
	for _, f := range object.Files { // of earlier versions: a file that is as it was transferred has the hash of that
		if f.Wire || object.Codec == "" && len(object.Files) == 1 {
			landed.SHA256 = f.SHA256
		}
	}
	found := slices.IndexFunc(object.Checks, func(c verify.Check) bool {
		return (c.Check == verify.CheckMD5 || c.Check == verify.CheckETag) && len(c.Got) == 32 // no ETag of parts
	})
	if found >= 0 {
		landed.MD5 = object.Checks[found].Got
	}
	return landed
}
