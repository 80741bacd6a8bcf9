package sandbox

import (
	"net/http"
	"time"
)

// Faults are what goes wrong with a file. Times is how often a fault occurs, over
// all requests for the file: 0 = never, -1 = always. A response is counted only
// if the fault can occur in it: if it sends the byte of a Flip, or more bytes
// than the After of a Cut or a Stall.
type Faults struct {
	Flip    Flip
	Cut     Cut
	Stall   Stall
	Replace Replacement
	// ExpireAfter ends the life of each URL by its use. Only a call for the
	// status gives another.
	ExpireAfter Expiry

	Busy               int   // how many requests are answered 503 with Retry-After: 1, before the first that is served
	SlowBytesPerSecond int64 // of each response. 0 = as fast as it goes

	// MultipartETag makes the object one that was uploaded in parts of this
	// size, in bytes: its ETag has the form HEX-N, and it has no Content-MD5.
	// 0 = uploaded in one piece.
	MultipartETag int64

	NoRange  bool // every request with a Range is answered 200 with the whole object
	NoETag   bool
	NoCRC    bool
	NoMD5    bool
	NoLength bool // chunked: no Content-Length
	WrongCRC bool // the CRC64 in the header is not the object's
}

// A Flip inverts one bit of the byte at offset At, as it is sent. The object's
// ETag, CRC64 and length stay right.
type Flip struct {
	At    int64 // in the object
	Times int
}

// A Cut closes the connection once a response has sent After bytes, whatever
// its Content-Length is.
type Cut struct {
	After int64
	Times int
}

// A Stall sends nothing more once a response has sent After bytes: for For, or
// where that is 0 until the client gives up.
type Stall struct {
	After int64
	Times int
	For   time.Duration
}

// A Replacement puts another object in the file's place once After requests
// have been answered. The job goes on promising the first.
type Replacement struct {
	After int
	Body  []byte // nil = never
}

// An Expiry limits how much one URL serves. After so many requests or so many
// bytes, whichever comes first, the answer is "Request has expired.". A response
// under way is sent to its end. 0 = no such limit.
type Expiry struct {
	Requests int
	Bytes    int64
}

// faultCounts are how often each counted fault of an object has occurred.
type faultCounts struct{ flips, cuts, stalls, busy int }

// occurs reports whether a fault that is to occur so many times (-1 = always)
// occurs now, and counts it.
func occurs(times int, count *int) bool {
	if times >= 0 && *count >= times {
		return false
	}
	*count++
	return true
}

// resetUnless sets count to 0 if the setting that it counts for has changed.
func resetUnless(same bool, count *int) {
	if !same {
		*count = 0
	}
}

// A faultyWriter sends the body of a response, with its stall, cut and speed.
type faultyWriter struct {
	w       http.ResponseWriter
	request *http.Request
	of      *objectResponse
	count   func(n int) // called with the number of bytes of each write
	sent    int64
}

const (
	maxWrite        = 256 << 10 // bytes
	writesPerSecond = 20        // of a slow response
)

func (f *faultyWriter) Write(p []byte) (int, error) {
	rate, written := f.of.file.Faults.SlowBytesPerSecond, 0
	for written < len(p) {
		if f.sent == f.of.stallAt {
			http.NewResponseController(f.w).Flush()
			f.wait(f.of.file.Faults.Stall.For)
		}
		if f.sent == f.of.cutAt {
			http.NewResponseController(f.w).Flush()
			panic(http.ErrAbortHandler)
		}
		size := int64(min(len(p)-written, maxWrite))
		if rate > 0 {
			size = min(size, max(1, rate/writesPerSecond))
		}
		for _, mark := range []int64{f.of.stallAt, f.of.cutAt} {
			if mark > f.sent {
				size = min(size, mark-f.sent)
			}
		}
		n, err := f.w.Write(p[written:][:size])
		written += n
		f.sent += int64(n)
		f.count(n)
		if err != nil {
			return written, err
		}
		if rate > 0 {
			http.NewResponseController(f.w).Flush()
			f.wait(time.Duration(n) * time.Second / time.Duration(rate))
		}
	}
	return written, nil
}

// wait waits for d, or where that is 0 for as long as the client does. It
// aborts the response when the client gives up.
func (f *faultyWriter) wait(d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		over = time.After(d)
	}
	select {
	case <-over:
	case <-f.request.Context().Done():
		panic(http.ErrAbortHandler)
	}
}
