package sandbox

import "time"

// Faults are what goes wrong with a file, always or so many times. Counts are
// kept per file, over all requests. Times is how often a fault strikes: 0 =
// never, -1 = always. Only a response that the fault can strike is counted:
// one that sends the byte, or goes beyond the mark.
type Faults struct {
	Flip    Flip
	Cut     Cut
	Stall   Stall
	Replace Replacement
	// ExpireAfter lets each URL die of use. Only a GET of the job gives
	// another.
	ExpireAfter Expiry

	Busy               int   // so many first requests answer 503 with Retry-After: 1
	SlowBytesPerSecond int64 // of each response; 0 = as fast as it goes

	// MultipartETag makes the object one that was uploaded in parts of this
	// size: its ETag is of the form HEX-N, and it has no Content-MD5.
	// 0 = put in one piece.
	MultipartETag int64

	NoRange  bool // every Range answers 200 and the whole
	NoETag   bool
	NoCRC    bool
	NoMD5    bool
	NoLength bool // chunked: no Content-Length
	WrongCRC bool // the CRC64 told is not the object's
}

// A Flip turns over one bit of the byte at At, as it is sent. What is said of
// the object (ETag, CRC64, length) stays right.
type Flip struct {
	At    int64 // in the object
	Times int
}

// A Cut closes the connection once a response has sent After bytes, whatever
// its Content-Length said.
type Cut struct {
	After int64
	Times int
}

// A Stall sends nothing more once a response has sent After bytes: for For,
// or where that is 0 until the client gives up.
type Stall struct {
	After int64
	Times int
	For   time.Duration
}

// Replacement puts another object in the file's place once After requests have
// been let in. The job goes on promising the first.
type Replacement struct {
	After int
	Body  []byte // nil = never
}

// An Expiry is how much a URL serves before it is answered with "Request has
// expired.": so many requests, or so many bytes, whichever is first. A
// response under way is sent to its end. 0 = no such bound.
type Expiry struct {
	Requests int
	Bytes    int64
}

func (x Expiry) reached(u use) bool {
	return x.Requests > 0 && u.requests >= x.Requests || x.Bytes > 0 && u.bytes >= x.Bytes
}
