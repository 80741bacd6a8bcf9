package fetch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/decode"
	"tallyman/fetch/internal/unpack"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
)

// The kinds of refusal of a provider or a store, for callers to branch on. A
// *CallError wraps one of them.
var (
	ErrAuth      = errors.New("access denied")
	ErrNotFound  = errors.New("not found")
	ErrThrottled = errors.New("throttled")
	ErrExpired   = errors.New("the URL has expired")
	ErrChanged   = archive.ErrChanged
	ErrTemporary = errors.New("temporary failure at the source")
	ErrRefused   = errors.New("refused by the source") // and will be again

	// Between here and the source. Another try helps once someone has seen to it.
	ErrTLS   = errors.New("no connection that can be trusted")
	ErrProxy = hostguard.ErrProxy // it refuses: credentials, or the host

	// No answer came. Each of the last two is an ErrUnreachable, and that is an
	// ErrTemporary.
	ErrUnreachable error = &subkind{ErrTemporary.Error(), ErrTemporary}
	ErrNoSuchHost  error = &subkind{"no such host", ErrUnreachable}
	ErrProxyAway   error = &subkind{"the proxy does not answer", ErrUnreachable}
)

// A subkind is a kind of refusal that is also of another kind.
type subkind struct {
	text string
	of   error
}

func (k *subkind) Error() string { return k.text }
func (k *subkind) Unwrap() error { return k.of }

// Other ends of an attempt.
var (
	ErrCorrupt = decode.ErrCorrupt
	ErrDrained = errors.New("stopped: what was received is kept")

	ErrUnsafeName = unpack.ErrUnsafeName
	ErrBomb       = unpack.ErrBomb
	ErrEncrypted  = unpack.ErrEncrypted
)

// A LimitError says which limit of the Fetcher an object exceeded. It wraps
// ErrBomb.
type LimitError = unpack.LimitError

// Limit names a limit of the Fetcher.
type Limit = unpack.Limit

// The limits of a LimitError.
const (
	LimitDecoded = unpack.LimitDecoded // MaxDecoded, or Limits.Bytes
	LimitMemory  = unpack.LimitMemory  // MaxMemory
	LimitEntries = unpack.LimitEntries // Limits.Entries
	LimitSize    = unpack.LimitSize    // MaxSize
)

// A MislabelledError says that an object claims an encoding that its bytes don't
// have. It wraps ErrCorrupt. With KeepWire, the object lands with a doubt.
type MislabelledError = decode.MislabelledError

// A transferError says that bytes did not come. It may pass, so it is an
// ErrTemporary.
type transferError struct {
	what string
	err  error
}

func (e *transferError) Error() string   { return e.what + ": " + e.err.Error() }
func (e *transferError) Unwrap() []error { return []error{e.err, ErrTemporary} }

// retryable reports whether the same request may succeed a little later. A name
// that is not known will not be known in a second.
func retryable(err error) bool {
	return (errors.Is(err, ErrTemporary) || errors.Is(err, ErrThrottled)) && !errors.Is(err, ErrNoSuchHost)
}

// TransportError returns the error of a call that got no answer: the cause if ctx
// has ended, hostguard.ErrHost if the host was refused, ErrProxy if the proxy
// refused, and otherwise a *CallError: of kind ErrTLS, or ErrUnreachable, which may
// pass. It drops the URL that net/http puts into its errors, since that may be a
// secret.
func TransportError(ctx context.Context, call string, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	text := err.Error()
	failed := &CallError{Call: call, Message: printableText(text), Kind: ErrUnreachable}
	op, isOp := errors.AsType[*net.OpError](err)
	name, isLookup := errors.AsType[*net.DNSError](err)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", call, context.Cause(ctx))
	case errors.Is(err, hostguard.ErrHost) || errors.Is(err, ErrProxy):
		return fmt.Errorf("%s: %w", call, err)
	case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
		failed.Kind = errTooManyFiles
	case strings.Contains(text, "tls: ") || strings.Contains(text, "x509: ") || errors.Is(err, http.ErrSchemeMismatch):
		failed.Kind = &subkind{ErrTLS.Error(), errors.Join(ErrTLS, err)}
		if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok && unknown.Cert != nil {
			failed.Message += printableText(fmt.Sprintf(": it is %q", unknown.Cert.Issuer))
		}
	case isOp && op.Op == "proxyconnect":
		failed.Kind, failed.Message = ErrProxyAway, printableText(op.Err.Error())
	case isLookup && name.IsNotFound:
		failed.Kind, failed.Message = ErrNoSuchHost, printableText(name.Name)
	}
	return failed
}

// errTooManyFiles says that this process had no file descriptor left for a
// connection. It may pass.
var errTooManyFiles = fmt.Errorf("%w, or here: %w", ErrTemporary, syscall.EMFILE)

// ParseRetryAfter reads the Retry-After header: seconds or a date (RFC 9110,
// 10.2.3). It returns 0 if there is none, or one that can't be read.
func ParseRetryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// Sleep waits for d. If ctx ends before, it returns the cause.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// RetryAfter returns how long the service asked us to wait, or 0, of an error that
// wraps a *CallError.
func RetryAfter(err error) time.Duration {
	if call, ok := errors.AsType[*CallError](err); ok {
		return call.RetryAfter
	}
	return 0
}

// A CallError says that a service refused one call. It holds no secret.
type CallError struct {
	Call       string // "GetDownloadJob", "GET https://host/path"
	Status     int    // of HTTP; 0 if the service had a say before or beside it
	Code       string // the service's own: "JobNotExist"
	Message    string // the service's own
	RequestID  string
	RetryAfter time.Duration // how long the service asks us to wait, or 0
	Kind       error         // one of the sentinels above
}

// Error names the call, what kind of refusal it is, and what the service said.
func (e *CallError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", e.Call, e.Kind)
	if e.Status != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.Status)
	}
	for _, s := range []string{e.Code, e.Message} {
		if s != "" {
			fmt.Fprintf(&b, ": %s", s)
		}
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

// Unwrap returns Kind.
func (e *CallError) Unwrap() error { return e.Kind }

// A NotReadyError says that the job has not ended yet.
type NotReadyError struct {
	State   State // the zero State: the provider used a word that we don't know
	Status  string
	Percent int
}

// Error gives the provider's own word.
func (e *NotReadyError) Error() string {
	if e.Percent > 0 {
		return fmt.Sprintf("the job is not ready: %s, %d%%", e.Status, e.Percent)
	}
	return fmt.Sprintf("the job is not ready: %s", e.Status)
}

// A JobError says that the job ended without a result, or that its result is
// gone.
type JobError struct {
	State   State // Failed or Expired
	Status  string
	Message string // the provider's own
}

// Error gives the provider's own words.
func (e *JobError) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("the job %s: %s", e.State, e.Status)
	}
	return fmt.Sprintf("the job %s: %s: %s", e.State, e.Status, e.Message)
}

// A PanicError is a panic, of ours or of a library, as the error of what it
// ended. It holds no secret.
type PanicError struct {
	Value string // what it was about
	Where string // the function that panicked, its file and line
	Stack string // of the goroutine: it holds addresses, and no values
}

// Error says what panicked, and where.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %s, in %s", e.Value, e.Where) }

// Recover makes a *PanicError of a panic, and sets *err to it. It must be
// deferred. Without it, a panic in a goroutine would end the process and print
// its value with all secrets in it.
func Recover(err *error) {
	x := recover()
	if x == nil {
		return
	}
	where := "a function that is not known"
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for began, more := false, true; more; { // up to the first function behind those of the runtime
		var frame runtime.Frame
		frame, more = frames.Next()
		inside := strings.HasPrefix(frame.Function, "runtime.")
		if began && !inside {
			where = fmt.Sprintf("%s, %s:%d", frame.Function, path.Base(frame.File), frame.Line)
			break
		}
		began = began || inside
	}
	*err = &PanicError{Value: redact.Text(fmt.Sprint(x)), Where: where, Stack: string(debug.Stack())}
}
