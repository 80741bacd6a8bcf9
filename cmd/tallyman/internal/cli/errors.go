// Package cli has what every command needs to talk to its user: reports of how
// exports fare, progress bars, JSON lines, help, errors with exit codes, and a
// writer that keeps secrets out of all of it. It does not know the flags.
package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"tallyman/fetch"
	"tallyman/worker"
)

// ExitError ends the command with its code. Everything there is to say has been
// printed already.
type ExitError int

// Error implements error.
func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// UsageError says that the command was called wrongly, or that its settings are
// wrong. The command ends with exit code 2.
type UsageError struct {
	Err       error
	Reference string // what was read as the reference that is wrong, or ""
}

// Error implements error.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns the error without what it means.
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef returns a UsageError of the text that fmt.Errorf makes.
func Usagef(format string, args ...any) error { return &UsageError{Err: fmt.Errorf(format, args...)} }

// DidYouMean returns what an error says of the known word that word is most likely a
// misspelling of, or "" if it is like none of them. The word is shown behind prefix.
func DidYouMean(prefix, word string, known []string) string {
	if nearest := fetch.Nearest(word, known); nearest != "" {
		return fmt.Sprintf(": did you mean %s%s?", prefix, nearest)
	}
	return ""
}

// Classify is worker.Classify for the errors of commands. A UsageError is a
// bad-task, whatever it wraps. An OutputError has no cause, and the exit code of a
// disk, or of an unclassified error if nobody reads the output.
func Classify(err error) worker.Outcome {
	if _, ok := errors.AsType[*UsageError](err); ok {
		return worker.Outcome{Cause: "bad-task", Exit: worker.ExitUsage}
	}
	outcome := worker.Classify(err)
	if output, ok := errors.AsType[*OutputError](err); ok {
		outcome.Cause = ""
		if errors.Is(output, syscall.EPIPE) || errors.Is(output, syscall.EBADF) {
			outcome.Exit = worker.ExitUnknown
		}
	}
	return outcome
}

// OutputError says that standard output took no more, so that what a command had
// to tell is lost, or a part of it. The work of the command is done all the same.
type OutputError struct{ Err error }

// Error says why, without the name that the system has for standard output.
func (e *OutputError) Error() string {
	err := e.Err
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return fmt.Sprintf("write to standard output: %v", err)
}

// Unwrap returns the error of the write.
func (e *OutputError) Unwrap() error { return e.Err }
