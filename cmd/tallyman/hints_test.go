package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/worker"
)

func TestAHintFitsTheError(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		"run again: what was received is kept":        fmt.Errorf("fetch: %w", context.Canceled),
		"run again later, or wait longer with --wait": &fetch.NotReadyError{},
		"export it anew": &fetch.JobError{State: fetch.Failed},
		"this is a mistake in tallyman: please report it":           &fetch.PanicError{},
		"if you trust the host, name it: --allow-host a.example:80": fmt.Errorf("fetch: %w", &hostguard.NotAllowedError{Host: "a.example:80"}),
		"if you trust the host, name it by --allow-host":            &hostguard.NotAllowedError{},
		"if you trust the source, allow more: --max-entries":        &fetch.LimitError{Limit: fetch.LimitEntries},
		"give decoders more memory: --max-memory":                   &fetch.LimitError{Limit: fetch.LimitMemory},
		"": fmt.Errorf("%w: no such key", fetch.ErrRefused),
	} {
		if got := hint(err); got != want {
			t.Errorf("the hint for %v is %q, want %q", err, got, want)
		}
	}
}

// An export that has failed is shown with its cause alone, when the error is
// gone.
func TestEveryCauseHasAHint(t *testing.T) {
	t.Parallel()
	for _, cause := range worker.Causes() {
		if causeHints[cause] == "" && cause != "bad-task" { // whose errors say all
			t.Errorf("%s has no hint", cause)
		}
	}
	for cause := range causeHints {
		if !strings.Contains(fmt.Sprint(worker.Causes()), string(cause)) {
			t.Errorf("there is no cause %s", cause)
		}
	}
}
