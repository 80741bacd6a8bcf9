package fetch

import (
	"context"
	"io"
	"iter"
	"time"

	"tallyman/verify"
)

// A State says how far an export job is, in the words of this package.
type State string

// The states of an export job. The zero State means that the provider used a
// word that is not known; it is never taken for Running.
const (
	Pending State = "pending" // accepted, not begun
	Running State = "running"
	Ready   State = "ready"
	Failed  State = "failed"
	Expired State = "expired" // was ready once; its result is gone
)

// A Provider answers for the export jobs of one service.
type Provider interface {
	// Export asks the service once for the state of the job that ref names
	// and, once that is Ready, for what it yielded. It never waits for a job.
	// It may be called by many goroutines at once. Errors that a caller can
	// act on are *CallError.
	Export(ctx context.Context, ref Ref) (*Export, error)
}

// A Lister is a Provider whose scheme has places.
type Lister interface {
	// List yields the jobs of a place that were created at or after since, the
	// newest first. The zero since is all of them. It may yield older ones, too.
	// An error is the last that it yields.
	List(ctx context.Context, place Ref, since time.Time) iter.Seq2[Listed, error]
}

// Listed is one job of a place.
type Listed struct {
	Ref     Ref
	State   State
	Status  string // the provider's own word
	Created time.Time
	Life    Lifetime // of what it yielded
}

// An Export is the state of a job and, once it is Ready, what it yielded.
type Export struct {
	State     State
	Status    string // the provider's own word
	Message   string // what the provider says of a failure, or ""
	Percent   int    // -1 where the provider does not say
	RequestID string // the provider's name for this answer, or ""
	Endpoint  string // the host that was asked, as in a URL

	Life Lifetime `json:",omitzero"` // of what a job yielded that is Ready

	// Objects are there once the export is Ready. Each range over it starts from the
	// first object. An error that comes with the name of an object is about that
	// object alone; any other error is the last that it yields.
	Objects  iter.Seq2[Object, error]
	Snapshot bool // Objects is what is there now: later attempts keep to what the first one saw

	Window  *Window  `json:",omitempty"` // that the job was asked for, or nil if it does not say
	Records int64    // over all objects, or verify.Unknown
	Doubts  []string // reasons to look twice at what landed
	Answer  any      // for the receipt: the provider's answer, without a secret, as it marshals to JSON
}

// An Object is one remote file of an export.
type Object struct {
	Name     string      // slash-separated; unique in the export
	Content  string      // "csv", "json" or a verify.Text where the job declares it, or ""
	Encoding string      `json:",omitempty"` // "none" or a codec in the job's own word where it declares that, or ""
	Want     verify.Want // what the job promised
	Source   Source
}

// A Source reads ranges of a remote object.
type Source interface {
	// ReadRange opens n bytes of the object at off, all from off on where n is
	// verify.Unknown, or the whole object where n is 0. With an etag, as an earlier Range wanted it, it
	// reads that version only: another one is ErrChanged. It may be called by
	// many goroutines at once. The caller closes the Range.
	ReadRange(ctx context.Context, off, n int64, etag string) (*Range, error)
}

// A Range is one answer of a store: bytes of an object, and what the store
// says of the whole of it.
type Range struct {
	io.ReadCloser
	Off  int64       // where the bytes begin: 0 if the store ignored the range and sends all
	Len  int64       // how many the store announced, or verify.Unknown
	Want verify.Want // of the whole object
}

// A Lifetime says how long what a job yielded is there. A signed URL that its job gives anew
// says nothing of it.
type Lifetime struct {
	Ended time.Time     // when the job ended or, if the service does not say, a time before that
	Lasts time.Duration // from then on; 0: nobody knows
}

// Ends is until when the result is there at least, or the zero time if nobody knows. The
// job had not ended yet at pending, which may be zero.
func (l Lifetime) Ends(pending time.Time) time.Time {
	from := l.Ended
	if pending.After(from) {
		from = pending
	}
	if l.Lasts <= 0 || from.IsZero() || from.Unix() > maxEnds {
		return time.Time{}
	}
	return from.Add(l.Lasts)
}
