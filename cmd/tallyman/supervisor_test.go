package main

import (
	"sync"
	"syscall"
	"testing"
	"time"
)

// A supervisor starts workers again when they end.
type supervisor struct {
	mu      sync.Mutex
	workers []*process
	held    []bool      // by SIGSTOP, and left alone
	told    []time.Time // to end, by SIGTERM
	drain   time.Duration
	stopped bool
	all     sync.WaitGroup
	logs    []string
}

// newSupervisor starts n workers, who are given drain to end.
func newSupervisor(t *testing.T, n int, drain time.Duration, start func() *process) *supervisor {
	f := &supervisor{workers: make([]*process, n), held: make([]bool, n), told: make([]time.Time, n), drain: drain}
	for i := range n {
		f.all.Go(func() {
			for f.start(t, i, start) {
				f.ended(t, i, exitOf(f.workers[i].Wait()))
			}
		})
	}
	t.Cleanup(func() { f.stop(syscall.SIGKILL) })
	return f
}

func (f *supervisor) start(t *testing.T, i int, start func() *process) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped || t.Context().Err() != nil {
		return false
	}
	p := start()
	p.start(t)
	f.workers[i], f.told[i] = p, time.Time{}
	return true
}

// ended looks at how a worker did.
func (f *supervisor) ended(t *testing.T, i, code int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	said := f.workers[i].stderr.String()
	f.logs = append(f.logs, said)
	told := f.told[i]
	switch {
	case code > 0 && code != 5 && (told.IsZero() || code != 130): // Redis is away, or was when it was to end
		t.Errorf("a worker ended with %d\n%s", code, said)
	case !told.IsZero() && time.Since(told) > f.drain+overdue:
		t.Errorf("a worker took %v to end\n%s", time.Since(told), said)
	}
}

// terminate is to end a worker well.
func (f *supervisor) terminate(i int) bool {
	if !f.signal(i, syscall.SIGTERM) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told[i] = time.Now()
	return true
}

// signal reports whether there was a worker to get it.
func (f *supervisor) signal(i int, how syscall.Signal) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.workers[i] == nil || f.held[i] {
		return false
	}
	return f.workers[i].Process.Signal(how) == nil
}

// pid is that of a worker, or 0.
func (f *supervisor) pid(i int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.workers[i] == nil {
		return 0
	}
	return f.workers[i].Process.Pid
}

// freeze keeps a worker from running for that long.
func (f *supervisor) freeze(i int, long time.Duration) bool {
	if !f.signal(i, syscall.SIGSTOP) {
		return false
	}
	f.hold(i, true, long)
	f.all.Go(func() {
		time.Sleep(long)
		f.hold(i, false, 0)
		f.signal(i, syscall.SIGCONT)
	})
	return true
}

// hold has a worker, who may have been told to end, lose so much time.
func (f *supervisor) hold(i int, held bool, lost time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[i] = held
	if !f.told[i].IsZero() {
		f.told[i] = f.told[i].Add(lost)
	}
}

func (f *supervisor) stop(how syscall.Signal) {
	f.mu.Lock()
	f.stopped = true
	for _, w := range f.workers {
		if w != nil {
			w.Process.Signal(how)
		}
	}
	f.mu.Unlock()
	f.all.Wait()
}
