package fetchtest

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"hash/crc64"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
)

// A Memory is a provider whose exports are ready and whose objects are in
// memory. Its methods may be called by many goroutines at once. A test changes
// its fields, and those of its files, only while nothing is fetched from it.
type Memory struct {
	Files    []*File                     // the objects of every export
	FilesOf  func(ref fetch.Ref) []*File // if set, the objects of one export instead; called once for each reference
	Snapshot bool                        // see fetch.Export
	Records  int64                       // promised of every export; 0 is a promise too
	Err      error                       // if set, ends the list of objects
	Jobs     []fetch.Listed              // what List yields, the newest last; Add adds to it

	// BeforeAnswer is that of files that have none of their own.
	BeforeAnswer func(ctx context.Context, off int64) error

	// BeforeList is called as the nth listing begins, from 1 on. An error ends
	// the listing.
	BeforeList func(ctx context.Context, n int) error

	mu        sync.Mutex
	files     map[string][]*File // by URL, as FilesOf made them
	open      int                // answers that are not closed
	maxOpen   int
	listings  []time.Time // when each began
	listing   int         // how many are under way
	maxListed int
}

// NewMemory returns a provider of one snapshot of those files, of which no
// number of records is promised.
func NewMemory(files ...*File) *Memory {
	return &Memory{Files: files, Snapshot: true, Records: verify.Unknown}
}

// Export implements fetch.Provider.
func (m *Memory) Export(_ context.Context, ref fetch.Ref) (*fetch.Export, error) {
	files, failed := m.filesOf(ref), m.Err
	objects := func(yield func(fetch.Object, error) bool) {
		for _, f := range files {
			object := f.Object()
			object.Source = source{f, m}
			if !yield(object, nil) {
				return
			}
		}
		if failed != nil {
			yield(fetch.Object{}, failed)
		}
	}
	return &fetch.Export{State: fetch.Ready, Status: "ready", Snapshot: m.Snapshot, Records: m.Records, Objects: objects}, nil
}

func (m *Memory) filesOf(ref fetch.Ref) []*File {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.FilesOf == nil {
		return slices.Clone(m.Files)
	}
	if m.files == nil {
		m.files = map[string][]*File{}
	}
	files, ok := m.files[ref.URL()]
	if !ok {
		files = m.FilesOf(ref)
		m.files[ref.URL()] = files
	}
	return files
}

// Answered returns how many requests for files of an export were answered.
func (m *Memory) Answered(ref fetch.Ref) (n int) {
	for _, f := range m.filesOf(ref) {
		requests, _ := f.Counts()
		n += requests
	}
	return n
}

// Requests returns how many requests are in flight: asked, and their answers not
// yet closed. It also returns the most that were at once.
func (m *Memory) Requests() (open, most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.open, m.maxOpen
}

func (m *Memory) inFlight(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open += n
	m.maxOpen = max(m.maxOpen, m.open)
}

// Add adds jobs that are ready and were made now.
func (m *Memory) Add(refs ...fetch.Ref) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range refs {
		m.Jobs = append(m.Jobs, fetch.Listed{Ref: ref, State: fetch.Ready, Status: "ready", Created: time.Now()})
	}
}

// List implements fetch.Lister: it yields the jobs of a place, the newest first,
// however old they are.
func (m *Memory) List(ctx context.Context, place fetch.Ref, _ time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		m.mu.Lock()
		m.listings = append(m.listings, time.Now())
		m.listing++
		m.maxListed = max(m.maxListed, m.listing)
		n, jobs := len(m.listings), slices.Clone(m.Jobs)
		m.mu.Unlock()
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.listing--
		}()
		if m.BeforeList != nil {
			if err := m.BeforeList(ctx, n); err != nil {
				yield(fetch.Listed{}, err)
				return
			}
		}
		for _, job := range slices.Backward(jobs) {
			if strings.HasPrefix(job.Ref.String(), place.String()) && !yield(job, nil) {
				return
			}
		}
	}
}

// Lists returns when each listing began, and how many there were at most at
// once.
func (m *Memory) Lists() (began []time.Time, most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.listings), m.maxListed
}

// A File is an object in memory, and its fetch.Source.
type File struct {
	Name     string
	Body     []byte
	Content  string // see fetch.Object
	Encoding string // see fetch.Object

	// Promise returns what is promised of the file, given all that is true: its
	// size, ETag and CRC64. nil promises all of it. Where no size is promised,
	// each answer is the whole file, and tells no length.
	Promise func(verify.Want) verify.Want

	// BeforeAnswer is called before a request is answered. An error is the
	// answer to it.
	BeforeAnswer func(ctx context.Context, off int64) error

	// Answer changes an answer, which begins at off.
	Answer func(off int64, answer io.ReadCloser) io.ReadCloser

	mu       sync.Mutex
	requests int
	sent     int
}

// NewFile returns a file of that name.
func NewFile(name string, body []byte) *File { return &File{Name: name, Body: body} }

// Object is the file as a provider lists it.
func (f *File) Object() fetch.Object {
	return fetch.Object{Name: f.Name, Content: f.Content, Encoding: f.Encoding, Want: f.promise(), Source: f}
}

func (f *File) promise() verify.Want {
	want := verify.Want{
		Size: int64(len(f.Body)), ETag: fmt.Sprintf(`"%X"`, md5.Sum(f.Body)), CRC64: fmt.Sprint(crc64.Checksum(f.Body, crc64.MakeTable(crc64.ECMA))),
	}
	if f.Promise != nil {
		want = f.Promise(want)
	}
	return want
}

// Counts returns how many requests were answered, and how many bytes they asked
// for.
func (f *File) Counts() (requests, sent int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.requests, f.sent
}

// ResetCounts has Counts begin at zero again.
func (f *File) ResetCounts() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests, f.sent = 0, 0
}

// ReadRange implements fetch.Source.
func (f *File) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	want := f.promise()
	if etag != "" && !verify.SameETag(etag, want.ETag) {
		return nil, fetch.ErrChanged
	}
	end, length := int64(len(f.Body)), int64(verify.Unknown)
	switch {
	case want.Size == verify.Unknown:
		off = 0
	case n != verify.Unknown:
		end = min(end, off+n)
		length = end - off
	}
	if f.BeforeAnswer != nil {
		if err := f.BeforeAnswer(ctx, off); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	f.requests++
	f.sent += int(end - off)
	f.mu.Unlock()
	answer := io.NopCloser(bytes.NewReader(f.Body[off:end]))
	if f.Answer != nil {
		answer = f.Answer(off, answer)
	}
	return &fetch.Range{ReadCloser: answer, Off: off, Len: length, Want: want}, nil
}

// A source is a file of a Memory, which counts the requests in flight.
type source struct {
	file *File
	in   *Memory
}

// ReadRange implements fetch.Source.
func (s source) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	s.in.inFlight(1)
	if s.file.BeforeAnswer == nil && s.in.BeforeAnswer != nil {
		if err := s.in.BeforeAnswer(ctx, off); err != nil {
			s.in.inFlight(-1)
			return nil, err
		}
	}
	answer, err := s.file.ReadRange(ctx, off, n, etag)
	if err != nil {
		s.in.inFlight(-1)
		return nil, err
	}
	answer.ReadCloser = &onClose{ReadCloser: answer.ReadCloser, do: func() { s.in.inFlight(-1) }}
	return answer, nil
}

// An onClose calls a function once, when it is closed.
type onClose struct {
	io.ReadCloser
	once sync.Once
	do   func()
}

func (c *onClose) Close() error {
	c.once.Do(c.do)
	return c.ReadCloser.Close()
}
