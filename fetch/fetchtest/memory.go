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

// A Memory is a provider whose exports are ready, and whose objects are in
// memory. Tests change its fields, and those of its files, while nothing is
// fetched from it; its methods may be called by many goroutines at once.
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

	mu       sync.Mutex
	files    map[string][]*File // by URL, as FilesOf made them
	requests gauge
	lists    gauge
	listed   []time.Time
}

// A gauge counts what is under way, and the most that was at once.
type gauge struct{ now, most int }

func (g *gauge) add(n int) {
	g.now += n
	g.most = max(g.most, g.now)
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
			if !yield(f.Object(), nil) {
				return
			}
		}
		if failed != nil {
			yield(fetch.Object{}, failed)
		}
	}
	return &fetch.Export{State: fetch.Ready, Status: "there", Snapshot: m.Snapshot, Records: m.Records, Objects: objects}, nil
}

func (m *Memory) filesOf(ref fetch.Ref) []*File {
	m.mu.Lock()
	defer m.mu.Unlock()
	files := m.Files
	if m.FilesOf != nil {
		if m.files == nil {
			m.files = map[string][]*File{}
		}
		if m.files[ref.URL()] == nil {
			m.files[ref.URL()] = m.FilesOf(ref)
		}
		files = m.files[ref.URL()]
	}
	for _, f := range files {
		f.join(m)
	}
	return slices.Clone(files)
}

// Answered returns how many requests for files of an export were answered.
func (m *Memory) Answered(ref fetch.Ref) (n int) {
	for _, f := range m.filesOf(ref) {
		requests, _ := f.Counts()
		n += requests
	}
	return n
}

// Requests returns how many answers are not closed yet, and how many there were
// at most at once.
func (m *Memory) Requests() (open, most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.requests.now, m.requests.most
}

// Add adds jobs that are ready and were made now.
func (m *Memory) Add(refs ...fetch.Ref) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range refs {
		m.Jobs = append(m.Jobs, fetch.Listed{Ref: ref, State: fetch.Ready, Status: "there", Created: time.Now()})
	}
}

// List implements fetch.Lister: it yields the jobs of a place, the newest first,
// however old they are.
func (m *Memory) List(ctx context.Context, place fetch.Ref, _ time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		m.mu.Lock()
		m.listed = append(m.listed, time.Now())
		m.lists.add(1)
		n, jobs := len(m.listed), slices.Clone(m.Jobs)
		m.mu.Unlock()
		defer func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.lists.add(-1)
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
	return slices.Clone(m.listed), m.lists.most
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
	memory   *Memory
	requests int
	sent     int
}

// NewFile returns a file of that name.
func NewFile(name string, body []byte) *File { return &File{Name: name, Body: body} }

func (f *File) join(m *Memory) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.memory = m
}

// Object is the file as a provider lists it.
func (f *File) Object() fetch.Object {
	return fetch.Object{Name: f.Name, Content: f.Content, Encoding: f.Encoding, Want: f.promise(), Source: f}
}

func (f *File) promise() verify.Want {
	want := verify.Want{
		Size: int64(len(f.Body)), ETag: fmt.Sprintf(`"%X"`, md5.Sum(f.Body)), CRC64: fmt.Sprint(crc64.Checksum(f.Body, verify.ECMA)),
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
	f.inFlight(1)
	end, length := int64(len(f.Body)), int64(verify.Unknown)
	switch {
	case want.Size == verify.Unknown:
		off = 0
	case n != verify.Unknown:
		end = min(end, off+n)
		length = end - off
	}
	if before := f.beforeAnswer(); before != nil {
		if err := before(ctx, off); err != nil {
			f.inFlight(-1)
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
	return &fetch.Range{ReadCloser: &closing{ReadCloser: answer, close: func() { f.inFlight(-1) }}, Off: off, Len: length, Want: want}, nil
}

func (f *File) beforeAnswer() func(ctx context.Context, off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.BeforeAnswer == nil && f.memory != nil {
		return f.memory.BeforeAnswer
	}
	return f.BeforeAnswer
}

// inFlight counts n more requests of the provider that lists the file.
func (f *File) inFlight(n int) {
	f.mu.Lock()
	m := f.memory
	f.mu.Unlock()
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests.add(n)
}

// A closing calls a function once, when it is closed.
type closing struct {
	io.ReadCloser
	once  sync.Once
	close func()
}

func (c *closing) Close() error {
	c.once.Do(c.close)
	return c.ReadCloser.Close()
}
