package worker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// A Cause is why an export has not landed: one of a closed list, for scripts.
type Cause string

// An Outcome is what an error means.
type Outcome struct {
	Cause  Cause
	Exit   int    // the exit code of a command that ends with the error
	Budget Budget // how many attempts may end so
}

// A Budget is how many attempts may end by one cause: for a caller of
// Local.Fetch, who waits, and for any other Worker.
type Budget struct{ Command, Worker int }

var (
	once     = Budget{1, 1} // it would fail again in the same way
	few      = Budget{3, 3}
	panicked = Budget{10, 10}
	many     = Budget{10, 30} // about five hours of a worker

	// Neither is the export's fault: a worker snoozes the task until it has
	// passed. A command makes more attempts at what passes soon by itself, and
	// tells the person at once of what may not.
	transient   = Budget{10, endless}
	external    = Budget{1, endless}
	between     = Budget{2, endless} // on the way to the source
	unknownHost = Budget{3, endless}
)

const endless = 1 << 30

// The exit codes of a command that ends with an error.
const (
	ExitLanded      = 0
	ExitUnknown     = 1
	ExitUsage       = 2
	ExitSomeFailed  = 3
	ExitIntegrity   = 4
	ExitTemporary   = 5
	ExitAuth        = 6
	ExitGone        = 7
	ExitNotReady    = 8
	ExitDoubts      = 9
	ExitDisk        = 10
	ExitBusy        = 11
	ExitDamaged     = 12
	ExitInterrupted = 130
)

// outcomes are tried in order: a row that is more specific comes first.
var outcomes = []struct {
	target  error            // for errors.Is; or, if it is nil,
	matches func(error) bool // what reports whether an error is of the row
	outcome Outcome
}{
	{fetch.ErrDrained, nil, Outcome{"cancelled", ExitInterrupted, once}},
	{context.Canceled, nil, Outcome{"cancelled", ExitInterrupted, once}},
	{errSettled, nil, Outcome{"cancelled", ExitInterrupted, once}},
	{archive.ErrBusy, nil, Outcome{"busy", ExitBusy, external}},
	{archive.ErrOtherFailure, nil, Outcome{"busy", ExitBusy, external}},
	{archive.ErrDamaged, nil, Outcome{"damaged", ExitDamaged, once}},
	{archive.ErrNotRepaired, nil, Outcome{"damaged", ExitDamaged, once}},
	{archive.ErrOtherID, nil, Outcome{"disk", ExitUsage, once}},
	{nil, isA[*archive.NoArchiveError], Outcome{"disk", ExitUsage, once}},
	{syscall.EMFILE, nil, Outcome{"open-files", ExitTemporary, transient}},
	{syscall.ENFILE, nil, Outcome{"open-files", ExitTemporary, transient}},
	{syscall.ENAMETOOLONG, nil, Outcome{"unsafe-name", ExitIntegrity, once}},
	{nil, func(err error) bool {
		return onDisk(err) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG))
	}, Outcome{"disk-full", ExitDisk, external}},
	{archive.ErrFileSystem, nil, Outcome{"disk", ExitDisk, external}},
	{nil, onDisk, Outcome{"disk", ExitDisk, external}},
	{errUnknownStatus, nil, Outcome{"unknown-status", ExitGone, once}},
	{nil, isA[*fetch.NotReadyError], Outcome{"not-ready", ExitNotReady, once}},
	{nil, func(err error) bool { return jobState(err) == fetch.Expired }, Outcome{"job-expired", ExitGone, once}},
	{nil, func(err error) bool { return jobState(err) == fetch.Failed }, Outcome{"job-failed", ExitGone, once}},
	{fetch.ErrExpired, nil, Outcome{"url-expired", ExitGone, few}},
	{fetch.ErrAuth, nil, Outcome{"auth-denied", ExitAuth, once}},
	{fetch.ErrTLS, nil, Outcome{"tls", ExitAuth, between}},
	{fetch.ErrProxy, nil, Outcome{"proxy", ExitAuth, between}},
	{fetch.ErrThrottled, nil, Outcome{"throttled", ExitTemporary, transient}},
	{hostguard.ErrHost, nil, Outcome{"host-refused", ExitIntegrity, once}},
	{fetch.ErrChanged, nil, Outcome{"changed-at-source", ExitTemporary, many}},
	{fetch.ErrNotFound, nil, Outcome{"not-found", ExitGone, once}},
	{fetch.ErrReceiptMismatch, nil, Outcome{"checksum-mismatch", ExitIntegrity, once}},
	{nil, truncated, Outcome{"truncated", ExitIntegrity, few}},
	{nil, isA[*verify.Mismatch], Outcome{"checksum-mismatch", ExitIntegrity, few}},
	{verify.ErrUnproven, nil, Outcome{"unproven", ExitIntegrity, once}},
	{fetch.ErrCorrupt, nil, Outcome{"corrupt", ExitIntegrity, once}},
	{fetch.ErrUnsafeName, nil, Outcome{"unsafe-name", ExitIntegrity, once}},
	{archive.ErrName, nil, Outcome{"unsafe-name", ExitIntegrity, once}},
	{fetch.ErrBomb, nil, Outcome{"bomb-refused", ExitIntegrity, once}},
	{fetch.ErrEncrypted, nil, Outcome{"encrypted", ExitIntegrity, once}},
	{fetch.ErrNoSuchHost, nil, Outcome{"network", ExitTemporary, unknownHost}},
	{fetch.ErrUnreachable, nil, Outcome{"network", ExitTemporary, transient}},
	{nil, func(err error) bool { // a service that can't serve anyone
		call, ok := errors.AsType[*fetch.CallError](err)
		return ok && call.Status >= 500 && errors.Is(err, fetch.ErrTemporary)
	}, Outcome{"network", ExitTemporary, transient}},
	{fetch.ErrTemporary, nil, Outcome{"network", ExitTemporary, many}},
	{fetch.ErrConflict, nil, Outcome{"job-failed", ExitIntegrity, once}},
	{fetch.ErrRefused, nil, Outcome{"job-failed", ExitGone, once}},
	{ErrRedis, nil, Outcome{"redis", ExitTemporary, external}},
	{ErrUnsuitableRedis, nil, Outcome{"redis", ExitUsage, external}},
	{ErrOtherArchive, nil, Outcome{"redis", ExitUsage, once}},
	{errCrashed, nil, Outcome{"crashed", ExitUnknown, once}},
	{ErrPanicked, nil, Outcome{"crashed", ExitUnknown, panicked}},
	{nil, isA[*fetch.PanicError], Outcome{"crashed", ExitUnknown, panicked}},
	{errBadTask, nil, Outcome{"bad-task", ExitUsage, once}},
	{errors.ErrUnsupported, nil, Outcome{"bad-task", ExitUsage, once}},
}

// Classify returns what an error means. An unknown error has no Cause, exits with
// 1, and is not tried again. No error at all has no Cause, either.
func Classify(err error) Outcome {
	if err == nil {
		return Outcome{Exit: ExitLanded}
	}
	for _, row := range outcomes {
		if row.target != nil && errors.Is(err, row.target) || row.matches != nil && row.matches(err) {
			return row.outcome
		}
	}
	return Outcome{Exit: ExitUnknown, Budget: once}
}

// Causes returns all causes.
func Causes() []Cause {
	var all []Cause
	for _, row := range outcomes {
		if !slices.Contains(all, row.outcome.Cause) {
			all = append(all, row.outcome.Cause)
		}
	}
	slices.Sort(all)
	return all
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// onDisk reports whether an error is the system's, of a file. Errors of
// connections are syscall.Errnos, too.
func onDisk(err error) bool {
	return isA[syscall.Errno](err) && (isA[*fs.PathError](err) || isA[*os.LinkError](err))
}

// outageCauses are those that pass by themselves, sooner or later.
var outageCauses = []Cause{"network", "throttled", "open-files", "disk-full"}

// jobState returns how the job ended that has no result, or "".
func jobState(err error) fetch.State {
	if job, ok := errors.AsType[*fetch.JobError](err); ok {
		return job.State
	}
	return ""
}

// truncated reports whether a size is less than was promised.
func truncated(err error) bool {
	m, ok := errors.AsType[*verify.Mismatch](err)
	if !ok || m.Check != verify.CheckSize {
		return false
	}
	got, gotErr := strconv.ParseInt(m.Got, 10, 64)
	want, wantErr := strconv.ParseInt(m.Want, 10, 64)
	return gotErr == nil && wantErr == nil && got < want
}
