package fetch

import (
	"fmt"
	"path"
	"runtime"
	"runtime/debug"
	"strings"

	"tallyman/fetch/redact"
)

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
