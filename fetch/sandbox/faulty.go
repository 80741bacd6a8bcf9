package sandbox

import (
	"net/http"
	"time"
)

// faultyWriter sends a body, slowly or not to its end if so it is to be.
type faultyWriter struct {
	w    http.ResponseWriter
	r    *http.Request
	d    *delivery
	sent func(n int)
	done int64
}

const (
	mostAtOnce    = 256 << 10
	writesASecond = 20 // of a slow response
)

func (f *faultyWriter) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		f.mark()
		n, err := f.w.Write(p[written:][:f.next(len(p)-written)])
		written += n
		f.done += int64(n)
		f.sent(n)
		if err != nil {
			return written, err
		}
		f.pace(n)
	}
	return written, nil
}

// mark stalls, or cuts the connection, where that is to happen.
func (f *faultyWriter) mark() {
	if f.done == f.d.stallAt {
		f.flush()
		f.wait(f.d.file.Faults.Stall.For)
	}
	if f.done == f.d.cutAt {
		f.flush()
		panic(http.ErrAbortHandler)
	}
}

// next is how many of n bytes go at once: not beyond a mark.
func (f *faultyWriter) next(n int) int {
	most := int64(min(n, mostAtOnce))
	if rate := f.d.file.Faults.SlowBytesPerSecond; rate > 0 {
		most = min(most, max(1, rate/writesASecond))
	}
	for _, at := range []int64{f.d.stallAt, f.d.cutAt} {
		if at > f.done {
			most = min(most, at-f.done)
		}
	}
	return int(most)
}

func (f *faultyWriter) pace(n int) {
	if rate := f.d.file.Faults.SlowBytesPerSecond; rate > 0 {
		f.flush()
		f.wait(time.Duration(n) * time.Second / time.Duration(rate))
	}
}

func (f *faultyWriter) flush() {
	http.NewResponseController(f.w).Flush()
}

// wait lets d pass, or for 0 all the time that the client has.
func (f *faultyWriter) wait(d time.Duration) {
	var passed <-chan time.Time
	if d > 0 {
		passed = time.After(d)
	}
	select {
	case <-passed:
	case <-f.r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}
