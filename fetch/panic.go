package fetch

import (
	"fmt"
	"path"
	"runtime"
	"runtime/debug"
	"strings"

	"tallyman/fetch/redact"
)

// A PanicError is a panic, of ours or of a library, as the error of what it ended.
// It tells no secret.
type PanicError struct {
	Value string // what it was about
	Where string // the function that panicked, its file and line
	Stack string // of the goroutine: it holds addresses, and no values
}

// Error tells what and where.
func (d *PanicError) Error() string { return fmt.Sprintf("panic: %s, in %s", d.Value, d.Where) }

// Recover is to be deferred: it makes a panic the error. Otherwise one in a
// goroutine of its own would end the process, and print whatever it is about.
func Recover(err *error) {
	if x := recover(); x != nil {
		*err = newPanicError(x)
	}
}

func newPanicError(x any) *PanicError {
	return &PanicError{Value: redact.Text(fmt.Sprint(x)), Where: panicked(), Stack: string(debug.Stack())}
}

// panicked is the function that panicked, as its deferred one sees it: the
// first behind the runtime's.
func panicked() string {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	began := false
	for {
		frame, more := frames.Next()
		inside := strings.HasPrefix(frame.Function, "runtime.")
		if began && !inside {
			return fmt.Sprintf("%s, %s:%d", frame.Function, path.Base(frame.File), frame.Line)
		}
		began = began || inside
		if !more {
			return "a function that is not known"
		}
	}
}
