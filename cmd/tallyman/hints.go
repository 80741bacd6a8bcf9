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
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// errorHints says what to do about errors for which more is known than their
// cause. The first row that matches counts.
var errorHints = []struct {
	target  error            // for errors.Is; or, if it is nil,
	matches func(error) bool // what reports whether an error is of the row
	hint    string
}{
	{fetch.ErrDrained, nil, hintRunAgain},
	{context.Canceled, nil, hintRunAgain},
	{syscall.ENAMETOOLONG, nil, "put the archive at a shorter path, on a file system that takes longer names"},
	{oss.ErrNoRegion, nil, "add ?region=REGION to the reference, or set --endpoint PROVIDER=URL"},
	{dbs.ErrNoBucket, nil, "name the bucket by --dbs-bucket BUCKET[@REGION]"},
	{fetch.ErrReceiptMismatch, nil, "check what has landed with 'tallyman verify', or fetch it once more beside that: fetch --again"},
	{nil, isType[*fetch.MislabelledError], "keep the file as it came: --keep wire"},
	{nil, isType[*fetch.SlowError], "run again: what was received is kept; --min-rate allows less"},
	{nil, func(err error) bool { return limitOf(err) == fetch.LimitSize }, "if you trust the source, allow more: --max-size"},
	{nil, func(err error) bool { return limitOf(err) == fetch.LimitDecoded }, "if you trust the source, allow more: --max-decoded"},
	{nil, func(err error) bool { return limitOf(err) == fetch.LimitEntries }, "if you trust the source, allow more: --max-entries"},
	{nil, func(err error) bool { return limitOf(err) == fetch.LimitMemory }, "give decoders more memory: --max-memory"},
	{fetch.ErrBomb, nil, ""},
	{fetch.ErrRefused, nil, ""},
	{nil, isType[*fetch.PanicError], hintReport},
	{worker.ErrPanicked, nil, hintReport},
	{worker.ErrNoRedisPassword, nil, "give the password in a file for --redis-password-file, or in REDIS_PASSWORD"},
	{worker.ErrUnsuitableRedis, nil, ""},
	{worker.ErrOtherArchive, nil, ""},
	{archive.ErrOtherID, nil, "see that the right disk is mounted there; --archive-id names the archive that is meant"},
	{nil, isType[*hostguard.NotAllowedError], causeHints["host-refused"]},
	{hostguard.ErrHost, nil, ""},
}

const (
	hintRunAgain = "run again: what was received is kept"
	hintReport   = "this is a mistake in tallyman: please report it"
)

// causeHints says what to do about each cause. A cause that is missing here
// speaks for itself.
var causeHints = map[worker.Cause]string{
	"auth-denied":       "check the credentials and what they are allowed to do",
	"bomb-refused":      "if you trust the source, raise the limit: --max-size, --max-decoded, --max-entries or --max-memory",
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
	"unsafe-name":       "keep a zip or tar as it came by --keep wire, or ask for an export of plain files with plain names",
	"url-expired":       "get a fresh URL",
}

// hintDamagedBags says what to do about bags that verify found damaged.
const hintDamagedBags = "move the damaged bags out of the archive and fetch them again"

// retryCommand returns the command that tries an export again.
func retryCommand(reference string) string { return "tallyman retry " + cli.ShellQuote(reference) }

// newOnlyCommand returns the command that fetches what has come to a prefix since
// it landed.
func newOnlyCommand(reference string) string {
	return "tallyman fetch --new " + cli.ShellQuote(reference)
}

// hint returns what to do about an error, or "".
func hint(err error) string {
	if refused, ok := errors.AsType[*hostguard.NotAllowedError](err); ok && refused.Host != "" {
		return "if you trust the host, name it: --allow-host " + refused.Host
	}
	if none, ok := errors.AsType[*archive.NoArchiveError](err); ok {
		return noArchiveHint(none)
	}
	if other, ok := errors.AsType[*fetch.OtherFileError](err); ok {
		return "fetch it beside what has landed, with the values of its query: tallyman fetch --again " + cli.ShellQuote(redact.URL(other.Ref.URL()))
	}
	for _, row := range errorHints {
		if row.target != nil && errors.Is(err, row.target) || row.matches != nil && row.matches(err) {
			return row.hint
		}
	}
	return causeHints[worker.Classify(err).Cause]
}

// noArchiveHint says how a directory becomes an archive.
func noArchiveHint(none *archive.NoArchiveError) string {
	command := "tallyman init " + cli.ShellQuote(none.Dir)
	switch {
	case none.Site == archive.SiteNowhere:
		return "see that its disk is mounted"
	case none.Site == archive.SiteExports && none.ID == "":
		return "put archive.json back from a copy, or make it anew with the ID that it had: " + command + " --archive-id ID"
	case none.ID != "":
		command += " --archive-id " + none.ID
	}
	return "see that it is the right directory, and that its disk is mounted; to make an archive of it: " + command
}

// limitOf returns the limit that an error says was exceeded, or "".
func limitOf(err error) fetch.Limit {
	if exceeded, ok := errors.AsType[*fetch.LimitError](err); ok {
		return exceeded.Limit
	}
	return ""
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
