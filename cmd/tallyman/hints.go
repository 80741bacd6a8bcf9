package main

import (
	"context"
	"errors"
	"syscall"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/fetch/dbs"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/oss"
	"tallyman/worker"
)

// errorHints says what to do about errors for which more is known than their
// cause. The first row that matches counts.
var errorHints = []struct {
	matches func(error) bool
	hint    string
}{
	{is(fetch.ErrDrained), hintRunAgain},
	{is(context.Canceled), hintRunAgain},
	{is(syscall.ENAMETOOLONG), "put the archive at a shorter path, on a file system that takes longer names"},
	{is(oss.ErrNoRegion), "add ?region=REGION to the reference, or set --endpoint PROVIDER=URL"},
	{is(dbs.ErrNoBucket), "name the bucket by --dbs-bucket BUCKET[@REGION]"},
	{is(fetch.ErrReceiptMismatch), "check what has landed with 'tallyman verify', or fetch it once more beside that: fetch --again"},
	{isType[*fetch.MislabelledError], "keep the file as it came: --keep wire"},
	{isType[*fetch.SlowError], "run again: what was received is kept; --min-rate allows less"},
	{exceeds(fetch.LimitSize), "if you trust the source, allow more: --max-size"},
	{exceeds(fetch.LimitDecoded), "if you trust the source, allow more: --max-decoded"},
	{exceeds(fetch.LimitEntries), "if you trust the source, allow more: --max-entries"},
	{is(fetch.ErrBomb), ""},
	{is(fetch.ErrRefused), ""},
	{isType[*fetch.PanicError], hintReport},
	{is(worker.ErrPanicked), hintReport},
	{is(worker.ErrNoRedisPassword), "give the password in a file for --redis-password-file, or in REDIS_PASSWORD"},
	{is(worker.ErrUnsuitableRedis), ""},
	{is(worker.ErrOtherArchive), ""},
	{isType[*hostguard.NotAllowedError], causeHints["host-refused"]},
	{is(hostguard.ErrHost), ""},
}

const (
	hintRunAgain = "run again: what was received is kept"
	hintReport   = "this is a mistake in tallyman: please report it"
)

// causeHints says what to do about each cause. A cause that is missing here
// speaks for itself.
var causeHints = map[worker.Cause]string{
	"auth-denied":       "check the credentials and what they are allowed to do",
	"bomb-refused":      "if you trust the source, raise the limit: --max-size, --max-decoded or --max-entries",
	"busy":              "another process is fetching it: run again when that has ended",
	"cancelled":         "ask for it again: tallyman retry",
	"changed-at-source": "run again",
	"checksum-mismatch": "run again; if it happens again, the source does not keep its promise",
	"corrupt":           "the file arrived as the source has it: export it anew, or keep it as it came: --keep wire",
	"crashed":           "see what ends the worker, such as too little memory, then try again: tallyman retry",
	"damaged":           "see what is wrong: tallyman verify",
	"disk":              "see that the archive can be written to, and run again",
	"disk-full":         "make room and run again: what was received is kept",
	"encrypted":         "ask for an export without encryption",
	"host-refused":      "if you trust the host, name it by --allow-host",
	"job-expired":       "export it anew",
	"job-failed":        "export it anew",
	"network":           hintRunAgain,
	"not-found":         "look at the job in the provider's console",
	"not-ready":         "run again later, or wait longer with --wait",
	"open-files":        "raise the limit of open files (ulimit -n), or lower --parallel",
	"redis":             "see that Redis runs, and run again",
	"throttled":         "run again later: what was received is kept",
	"truncated":         "run again; if it happens again, the source has less than it promised",
	"unknown-status":    "look at the job in the provider's console",
	"unproven":          "promise something by #md5=…, #crc64=… or #size=…",
	"unsafe-name":       "ask for an export of plain files with plain names",
	"url-expired":       "get a fresh URL",
}

// hintDamagedBags says what to do about bags that verify found damaged.
const hintDamagedBags = "move the damaged bags out of the archive and fetch them again"

// retryCommand returns the command that tries an export again.
func retryCommand(reference string) string { return "tallyman retry " + cli.ShellQuote(reference) }

// hint returns what to do about an error, or "".
func hint(err error) string {
	if refused, ok := errors.AsType[*hostguard.NotAllowedError](err); ok && refused.Host != "" {
		return "if you trust the host, name it: --allow-host " + refused.Host
	}
	for _, row := range errorHints {
		if row.matches(err) {
			return row.hint
		}
	}
	return causeHints[worker.Classify(err).Cause]
}

func exceeds(limit fetch.Limit) func(error) bool {
	return func(err error) bool {
		exceeded, ok := errors.AsType[*fetch.LimitError](err)
		return ok && exceeded.Limit == limit
	}
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
