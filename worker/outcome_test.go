package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/verify"
	"tallyman/verify/archive"
)

func onPath(errno syscall.Errno) error {
	return &fs.PathError{Op: "write", Path: "p", Err: errno}
}

func call(kind error) error { return &fetch.CallError{Call: "GET", Kind: kind} }

func size(got, want string) error {
	return &verify.Mismatch{Object: "a", Check: verify.CheckSize, Got: got, Want: want}
}

func TestEveryErrorHasItsOutcome(t *testing.T) {
	connection := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ENOSPC)}
	for _, test := range []struct {
		err      error
		cause    Cause
		exit     int
		attempts int
	}{
		{context.Canceled, "cancelled", 130, 1},
		{archive.ErrBusy, "busy", 11, 1},
		{call(fetch.ErrConflict), "job-failed", 4, 1},
		{archive.ErrDamaged, "damaged", 12, 1},
		{archive.ErrNotRepaired, "damaged", 12, 1},
		{&archive.Damage{Key: "k"}, "damaged", 12, 1},
		{archive.ErrOtherID, "disk", 2, 1},
		{&archive.NoArchiveError{Dir: "d", Site: archive.SiteEmpty}, "disk", 2, 1},
		{onPath(syscall.ENOSPC), "disk-full", 10, 1},
		{onPath(syscall.EDQUOT), "disk-full", 10, 1},
		{onPath(syscall.EFBIG), "disk-full", 10, 1},
		{&os.LinkError{Op: "rename", Err: syscall.ENOSPC}, "disk-full", 10, 1},
		{&archive.NoSpaceError{Object: "a.csv", Dir: "/archive"}, "disk-full", 10, 1},
		{onPath(syscall.EMFILE), "open-files", 5, 10},
		{onPath(syscall.ENFILE), "open-files", 5, 10},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("socket", syscall.EMFILE)}, "open-files", 5, 10},
		{onPath(syscall.ENAMETOOLONG), "unsafe-name", 4, 1},
		{archive.ErrName, "unsafe-name", 4, 1},
		{onPath(syscall.ENOLCK), "disk", 10, 1},
		{onPath(syscall.EROFS), "disk", 10, 1},
		{onPath(syscall.EACCES), "disk", 10, 1},
		{onPath(syscall.ENOTDIR), "disk", 10, 1},
		{onPath(syscall.EIO), "disk", 10, 1},
		{&os.LinkError{Op: "rename", Err: syscall.EXDEV}, "disk", 10, 1},
		{connection, "", 1, 1},
		{fmt.Errorf("%w: nonsense, 10 times in a row", errUnknownStatus), "unknown-status", 7, 1},
		{&fetch.NotReadyError{State: fetch.Pending}, "not-ready", 8, 1},
		{&fetch.JobError{State: fetch.Failed}, "job-failed", 7, 1},
		{&fetch.JobError{State: fetch.Expired}, "job-expired", 7, 1},
		{call(fetch.ErrExpired), "url-expired", 7, 3},
		{call(fetch.ErrAuth), "auth-denied", 6, 1},
		{call(fetch.ErrThrottled), "throttled", 5, 10},
		{call(fetch.ErrTLS), "tls", 6, 2},
		{call(fetch.ErrProxy), "proxy", 6, 2},
		{hostguard.ErrHost, "host-refused", 4, 1},
		{call(fetch.ErrChanged), "changed-at-source", 5, 10},
		{fmt.Errorf("%w: %w", fetch.ErrChanged, size("2", "1")), "changed-at-source", 5, 10},
		{call(fetch.ErrNotFound), "not-found", 7, 1},
		{size("1", "2"), "truncated", 4, 3},
		{size("2", "1"), "checksum-mismatch", 4, 3},
		{size("2 or more", "1"), "checksum-mismatch", 4, 3},
		{&verify.Mismatch{Check: verify.CheckMD5}, "checksum-mismatch", 4, 3},
		{verify.ErrUnproven, "unproven", 4, 1},
		{fmt.Errorf("%w: %w", fetch.ErrCorrupt, io.ErrUnexpectedEOF), "corrupt", 4, 1},
		{call(fetch.ErrTemporary), "network", 5, 10},
		{call(fetch.ErrUnreachable), "network", 5, 10},
		{call(fetch.ErrProxyAway), "network", 5, 10},
		{call(fetch.ErrNoSuchHost), "network", 5, 3},
		{&fetch.CallError{Kind: fetch.ErrTemporary, Status: 503}, "network", 5, 10},
		{call(fetch.ErrRefused), "job-failed", 7, 1},
		{errors.ErrUnsupported, "bad-task", 2, 1},
		{errBadTask, "bad-task", 2, 1},
		{errCrashed, "crashed", 1, 1},
		{fetch.ErrDrained, "cancelled", 130, 1},
		{ErrRedis, "redis", 5, 1},
		{ErrUnsuitableRedis, "redis", 2, 1},
		{ErrOtherArchive, "redis", 2, 1},
		{errors.New("what nobody knows"), "", 1, 1},
	} {
		got := Classify(fmt.Errorf("fetch it: %w", test.err))
		want := Outcome{test.cause, test.exit, Budget{test.attempts, got.Budget.Worker}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: %s", test.err, diff)
		}
	}
}

func TestEveryRowOfTheOutcomesIsComplete(t *testing.T) {
	for i, row := range outcomes {
		if row.outcome.Cause == "" || row.outcome.Budget.Command < 1 || row.outcome.Budget.Worker < row.outcome.Budget.Command || row.outcome.Exit == 0 {
			t.Errorf("row %d is %+v", i, row.outcome)
		}
	}
}
