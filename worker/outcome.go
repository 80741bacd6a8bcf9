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
	Exit   int    // of a command that ends with it
	Budget Budget // of attempts
}

// A Budget is how many attempts are made that end by one cause: by a command
// that someone waits for, and by a worker.
type Budget struct{ Command, Worker int }

// The budgets. What will come again alike is tried once. What is not the
// export's fault costs a worker nothing: it comes back until that has passed.
var (
	once     = Budget{1, 1}
	mismatch = Budget{3, 3}
	panicked = Budget{10, 10}
	network  = Budget{10, 30} // some five hours of a worker's
	passing  = Budget{10, endless}
	outside  = Budget{1, endless}
)

const endless = 1 << 30

// The exit codes of the commands.
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

// outcomes are tried in order: what is more particular comes first.
var outcomes = []struct {
	is      func(error) bool
	outcome Outcome
}{
	{is(fetch.ErrDrained), Outcome{"cancelled", ExitInterrupted, once}},
	{is(context.Canceled), Outcome{"cancelled", ExitInterrupted, once}},
	{is(errSettled), Outcome{"cancelled", ExitInterrupted, once}},
	{is(archive.ErrBusy), Outcome{"busy", ExitBusy, outside}},
	{is(archive.ErrDamaged), Outcome{"damaged", ExitDamaged, once}},
	{starved, Outcome{"open-files", ExitTemporary, passing}},
	{is(syscall.ENAMETOOLONG), Outcome{"unsafe-name", ExitIntegrity, once}},
	{diskFull, Outcome{"disk-full", ExitDisk, outside}},
	{onDisk, Outcome{"disk", ExitDisk, outside}},
	{is(errUnknownStatus), Outcome{"unknown-status", ExitGone, once}},
	{isA[*fetch.NotReadyError], Outcome{"not-ready", ExitNotReady, once}},
	{jobIs(fetch.Expired), Outcome{"job-expired", ExitGone, once}},
	{jobIs(fetch.Failed), Outcome{"job-failed", ExitGone, once}},
	{is(fetch.ErrExpired), Outcome{"url-expired", ExitGone, mismatch}},
	{is(fetch.ErrAuth), Outcome{"auth-denied", ExitAuth, once}},
	{is(fetch.ErrThrottled), Outcome{"throttled", ExitTemporary, passing}},
	{is(hostguard.ErrHost), Outcome{"host-refused", ExitIntegrity, once}},
	{is(fetch.ErrChanged), Outcome{"changed-at-source", ExitTemporary, network}},
	{is(fetch.ErrNotFound), Outcome{"not-found", ExitGone, once}},
	{is(fetch.ErrReceiptMismatch), Outcome{"checksum-mismatch", ExitIntegrity, once}},
	{truncated, Outcome{"truncated", ExitIntegrity, mismatch}},
	{isA[*verify.Mismatch], Outcome{"checksum-mismatch", ExitIntegrity, mismatch}},
	{is(verify.ErrUnproven), Outcome{"unproven", ExitIntegrity, once}},
	{is(fetch.ErrCorrupt), Outcome{"corrupt", ExitIntegrity, once}},
	{is(fetch.ErrUnsafeName), Outcome{"unsafe-name", ExitIntegrity, once}},
	{is(archive.ErrName), Outcome{"unsafe-name", ExitIntegrity, once}},
	{is(fetch.ErrBomb), Outcome{"bomb-refused", ExitIntegrity, once}},
	{is(fetch.ErrEncrypted), Outcome{"encrypted", ExitIntegrity, once}},
	{is(fetch.ErrTemporary), Outcome{"network", ExitTemporary, network}},
	{is(fetch.ErrRefused), Outcome{"job-failed", ExitGone, once}},
	{is(ErrRedis), Outcome{"redis", ExitTemporary, outside}},
	{is(ErrUnsuitableRedis), Outcome{"redis", ExitUsage, outside}},
	{is(ErrOtherArchive), Outcome{"redis", ExitUsage, once}},
	{is(errCrashed), Outcome{"crashed", ExitUnknown, once}},
	{is(ErrPanicked), Outcome{"crashed", ExitUnknown, panicked}},
	{isA[*fetch.PanicError], Outcome{"crashed", ExitUnknown, panicked}},
	{is(errBadTask), Outcome{"bad-task", ExitUsage, once}},
	{is(errors.ErrUnsupported), Outcome{"bad-task", ExitUsage, once}},
}

// Classify tells what an error means. An error that no row knows has the zero
// Cause and exits with 1.
func Classify(err error) Outcome {
	for _, row := range outcomes {
		if row.is(err) {
			return row.outcome
		}
	}
	return Outcome{Exit: ExitUnknown, Budget: once}
}

// Causes are all that there are.
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

// starved knows that no more files or connections can be opened for now.
func starved(err error) bool { return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) }

func diskFull(err error) bool {
	return onDisk(err) && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG))
}

// onDisk knows what the system says of our own files. Its errors of a
// connection have numbers too.
func onDisk(err error) bool {
	return isA[syscall.Errno](err) && (isA[*fs.PathError](err) || isA[*os.LinkError](err))
}

func jobIs(state fetch.State) func(error) bool {
	return func(err error) bool {
		job, ok := errors.AsType[*fetch.JobError](err)
		return ok && job.State == state
	}
}

// truncated knows a size that fell short.
func truncated(err error) bool {
	m, ok := errors.AsType[*verify.Mismatch](err)
	if !ok || m.Check != verify.CheckSize {
		return false
	}
	got, gotErr := strconv.ParseInt(m.Got, 10, 64)
	want, wantErr := strconv.ParseInt(m.Want, 10, 64)
	return gotErr == nil && wantErr == nil && got < want
}
