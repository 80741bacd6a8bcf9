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

// The budgets. What would fail again in the same way is tried once. What is not
// the export's fault has no end for a worker: the task is snoozed until that has
// passed.
var (
	once      = Budget{1, 1}
	few       = Budget{3, 3}
	panicked  = Budget{10, 10}
	many      = Budget{10, 30} // about five hours of a worker
	transient = Budget{10, endless}
	external  = Budget{1, endless}
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
	is      func(error) bool
	outcome Outcome
}{
	{is(fetch.ErrDrained), Outcome{"cancelled", ExitInterrupted, once}},
	{is(context.Canceled), Outcome{"cancelled", ExitInterrupted, once}},
	{is(errSettled), Outcome{"cancelled", ExitInterrupted, once}},
	{is(archive.ErrBusy), Outcome{"busy", ExitBusy, external}},
	{is(archive.ErrDamaged), Outcome{"damaged", ExitDamaged, once}},
	{is(syscall.EMFILE), Outcome{"open-files", ExitTemporary, transient}},
	{is(syscall.ENFILE), Outcome{"open-files", ExitTemporary, transient}},
	{is(syscall.ENAMETOOLONG), Outcome{"unsafe-name", ExitIntegrity, once}},
	{func(err error) bool {
		return onDisk(err) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG))
	}, Outcome{"disk-full", ExitDisk, external}},
	{onDisk, Outcome{"disk", ExitDisk, external}},
	{is(errUnknownStatus), Outcome{"unknown-status", ExitGone, once}},
	{isA[*fetch.NotReadyError], Outcome{"not-ready", ExitNotReady, once}},
	{jobIs(fetch.Expired), Outcome{"job-expired", ExitGone, once}},
	{jobIs(fetch.Failed), Outcome{"job-failed", ExitGone, once}},
	{is(fetch.ErrExpired), Outcome{"url-expired", ExitGone, few}},
	{is(fetch.ErrAuth), Outcome{"auth-denied", ExitAuth, once}},
	{is(fetch.ErrThrottled), Outcome{"throttled", ExitTemporary, transient}},
	{is(hostguard.ErrHost), Outcome{"host-refused", ExitIntegrity, once}},
	{is(fetch.ErrChanged), Outcome{"changed-at-source", ExitTemporary, many}},
	{is(fetch.ErrNotFound), Outcome{"not-found", ExitGone, once}},
	{is(fetch.ErrReceiptMismatch), Outcome{"checksum-mismatch", ExitIntegrity, once}},
	{truncated, Outcome{"truncated", ExitIntegrity, few}},
	{isA[*verify.Mismatch], Outcome{"checksum-mismatch", ExitIntegrity, few}},
	{is(verify.ErrUnproven), Outcome{"unproven", ExitIntegrity, once}},
	{is(fetch.ErrCorrupt), Outcome{"corrupt", ExitIntegrity, once}},
	{is(fetch.ErrUnsafeName), Outcome{"unsafe-name", ExitIntegrity, once}},
	{is(archive.ErrName), Outcome{"unsafe-name", ExitIntegrity, once}},
	{is(fetch.ErrBomb), Outcome{"bomb-refused", ExitIntegrity, once}},
	{is(fetch.ErrEncrypted), Outcome{"encrypted", ExitIntegrity, once}},
	{is(fetch.ErrTemporary), Outcome{"network", ExitTemporary, many}},
	{is(fetch.ErrRefused), Outcome{"job-failed", ExitGone, once}},
	{is(ErrRedis), Outcome{"redis", ExitTemporary, external}},
	{is(ErrUnsuitableRedis), Outcome{"redis", ExitUsage, external}},
	{is(ErrOtherArchive), Outcome{"redis", ExitUsage, once}},
	{is(errCrashed), Outcome{"crashed", ExitUnknown, once}},
	{is(ErrPanicked), Outcome{"crashed", ExitUnknown, panicked}},
	{isA[*fetch.PanicError], Outcome{"crashed", ExitUnknown, panicked}},
	{is(errBadTask), Outcome{"bad-task", ExitUsage, once}},
	{is(errors.ErrUnsupported), Outcome{"bad-task", ExitUsage, once}},
}

// Classify returns what an error means. An unknown error has no Cause, exits with
// 1, and is not tried again.
func Classify(err error) Outcome {
	for _, row := range outcomes {
		if row.is(err) {
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

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
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

func jobIs(state fetch.State) func(error) bool {
	return func(err error) bool {
		job, ok := errors.AsType[*fetch.JobError](err)
		return ok && job.State == state
	}
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
