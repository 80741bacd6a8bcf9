package archive

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive/ledger"
)

const receiptSchema = "tallyman.receipt/v1"

// maxListed is how many objects a receipt lists itself, and how many doubts of
// them. More are in objects.jsonl.
const maxListed = 100

// A Receipt says what was promised of an export that landed and whether it
// held. It is receipt.json of the bag.
type Receipt struct {
	Schema    string         `json:"schema"`
	Ledger    string         `json:"ledger,omitempty"` // the schema of the ledger that has a line of it; "": it landed before there were ledgers
	Reference string         `json:"reference"`
	Key       string         `json:"key"`
	FirstSeen time.Time      `json:"first_seen"`
	Landed    time.Time      `json:"landed"`
	Status    string         `json:"status,omitempty"`     // the provider's own word
	RequestID string         `json:"request_id,omitempty"` // of the provider's answer
	Doubts    []string       `json:"doubts"`               // reasons to look twice; mostly none
	Bytes     int64          `json:"bytes"`                // of content
	Files     int            `json:"files"`
	Records   int64          `json:"records"`           // counted, or -1: not countable
	Checks    []verify.Check `json:"checks"`            // of the export as a whole
	Objects   []Object       `json:"objects,omitempty"` // none where they are many: see objects.jsonl
	Answer    any            `json:"answer,omitempty"`  // the provider's answer, without its secrets
	Window    *ledger.Window `json:"window,omitempty"`  // that the job was asked for, if it says so

	// Hidden is what HashHidden gives for the part of the reference that is not
	// shown.
	Hidden string `json:"hidden,omitempty"`

	// What took part in it, as far as it is known. Receipts of earlier versions have
	// none of these.
	Version  string `json:"version,omitempty"`  // of the program
	Endpoint string `json:"endpoint,omitempty"` // the host that was asked for the job, or for what is in the bucket
	Profile  string `json:"profile,omitempty"`  // the name of the credentials; none for those that the vendor's tools use by themselves
	Host     string `json:"host,omitempty"`     // the machine that committed it
	Attempts int    `json:"attempts,omitempty"` // it took, this one included, since it was last asked for

	// Headers is how many of the Records are header rows, as far as that is known:
	// by the promise of records, or else since they read so. HeadersCounted says that
	// the promise holds only if they count as records. Receipts of earlier versions
	// have neither.
	Headers        int64 `json:"headers,omitempty"`
	HeadersCounted bool  `json:"headers_counted,omitempty"`

	// First tells of the first records of the CSV files. It is nil if there are no such
	// records, and in receipts of earlier versions.
	First *ledger.First `json:"first,omitempty"`

	// Earlier is of no file: who returned this receipt to whoever wanted the export did not
	// land it, since it had landed.
	Earlier bool `json:"-"`
}

// Rows says how many records there are, and headers apart from them, such as "2000
// rows and a header". The noun is what a record is called.
func (r *Receipt) Rows(noun string) string {
	text := fmt.Sprintf("%d %ss", r.Records-r.Headers, noun)
	if r.Records-r.Headers == 1 {
		text = "1 " + noun
	}
	switch {
	case r.Headers == 1:
		text += " and a header"
	case r.Headers > 1:
		text += fmt.Sprintf(" and %d headers", r.Headers)
	}
	return text
}

// An Object of a receipt is one remote file as it was transferred.
type Object struct {
	Name       string         `json:"name"`
	Size       int64          `json:"size"`
	CRC64      string         `json:"crc64"`                 // as received
	WireSHA256 string         `json:"wire_sha256,omitempty"` // as received; earlier versions did not tell
	Job        Promise        `json:"job"`                   // what the job promised
	Store      Promise        `json:"store"`                 // what the store promised
	Checks     []verify.Check `json:"checks"`
	Proof      string         `json:"proof,omitempty"` // the check that proves the bytes, or "": their size alone was promised
	Codec      string         `json:"codec,omitempty"`
	Files      []File         `json:"files"`

	// Counted is what was decoded to prove and to count it, and not kept.
	Counted []Counted `json:"counted,omitempty"`

	Doubts []string `json:"doubts,omitempty"` // of this object; the receipt repeats them
	Hidden string   `json:"hidden,omitempty"` // as in the receipt
}

// A File of a receipt is one content file, below data/.
type File struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Wire    bool   `json:"wire,omitempty"`   // the object's bytes as transferred
	Format  string `json:"format,omitempty"` // "csv" or "json" if its records were counted
	Records int64  `json:"records"`          // rows, header rows included; -1: not countable
	Header  bool   `json:"header,omitempty"` // the first of them reads as a header

	// Of CSV, the SHA-256 of the first record, and whether the second is the same, as
	// verify.First has them. Receipts of earlier versions have neither.
	FirstSHA256 string `json:"first_sha256,omitempty"`
	FirstAgain  bool   `json:"first_again,omitempty"`
}

// Counted is content that was decoded and not kept.
type Counted struct {
	Name    string `json:"name"`
	Format  string `json:"format,omitempty"`
	Records int64  `json:"records"`
	Header  bool   `json:"header,omitempty"`

	FirstSHA256 string `json:"first_sha256,omitempty"` // as in a File
	FirstAgain  bool   `json:"first_again,omitempty"`
}

// Counts are the record counts of all content that was decoded, kept or not.
func (o Object) Counts() (counts []verify.Count) {
	for _, f := range o.Files {
		if !f.Wire {
			counts = append(counts, verify.Count{Format: f.Format, Rows: f.Records})
		}
	}
	for _, c := range o.Counted {
		counts = append(counts, verify.Count{Format: c.Format, Rows: c.Records})
	}
	return counts
}

// firsts are the first records of all CSV content that was decoded, kept or not.
func (o Object) firsts() (firsts []verify.First) {
	for _, f := range o.Files {
		firsts = append(firsts, verify.First{SHA256: f.FirstSHA256, Again: f.FirstAgain})
	}
	for _, c := range o.Counted {
		firsts = append(firsts, verify.First{SHA256: c.FirstSHA256, Again: c.FirstAgain})
	}
	return slices.DeleteFunc(firsts, func(f verify.First) bool { return f.SHA256 == "" })
}

// addFirst takes the first record of a CSV file into those of the export.
func (r *Receipt) addFirst(f verify.First) {
	if r.First == nil {
		r.First = &ledger.First{SHA256: f.SHA256}
	}
	r.First.Files++
	r.First.Again = r.First.Again || f.Again
	if r.First.SHA256 != f.SHA256 {
		r.First.SHA256 = ""
	}
}

// Receipt reads the receipt of an export that landed. It fails with
// fs.ErrNotExist if the export has not landed, a *RemovedError if it was removed, with a *Damage if the ledger says that
// it was damaged when it was last looked at, or that it landed and it is not there, and
// with ErrDamaged if the receipt can't be read. If the file system takes the key for that
// of another export, as where they differ in case alone, and that has landed, it fails
// with ErrName.
func (a *Archive) Receipt(key string) (*Receipt, error) {
	last, err := a.presence(key) // first: a commit writes its line once the bag is in its place
	if err != nil {
		return nil, err
	}
	if last != nil && last.Kind == ledger.Removed {
		if last, err = a.settleRemoved(key, last); err != nil {
			return nil, err
		}
	}
	landed, err := a.landed(key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read receipt: %w", err)
	case last != nil && last.Kind == ledger.Removed && (!landed || a.Busy(key)):
		return nil, fmt.Errorf("read receipt of %s: %w", key, newRemovedError(last))
	case last != nil && last.Kind == ledger.Removed:
		return nil, &Damage{Key: key, Reference: last.Ref, Problems: []string{newRemovedError(last).Error() + ", and what is in its place now was not checked"}}
	case !landed && last != nil:
		return nil, a.absence(last)
	case !landed:
		return nil, fmt.Errorf("read receipt of %s: %w", key, fs.ErrNotExist)
	case last != nil && last.Kind == ledger.Damaged:
		return nil, &Damage{Key: key, Reference: last.Ref, Problems: last.Problems}
	case last != nil && last.Kind == ledger.Absent:
		return nil, &Damage{Key: key, Reference: last.Ref, Problems: []string{fmt.Sprintf("it was gone on %s, and what is there now was not checked", day(last))}}
	}
	r, err := readReceipt(a.Path(key))
	if err != nil {
		return nil, err
	}
	if r.Key == key {
		return r, nil
	}
	here, err := os.Stat(a.Path(key))
	if there, thereErr := os.Stat(a.Path(r.Key)); fs.ValidPath(r.Key) && err == nil && thereErr == nil && os.SameFile(here, there) {
		return nil, fmt.Errorf("%w: the file system takes %s for %s, which has landed", ErrName, key, r.Key)
	}
	return nil, fmt.Errorf("%w: %s has the receipt of another export", ErrDamaged, key)
}

// readReceipt reads the receipt of the bag in dir.
func readReceipt(dir string) (*Receipt, error) {
	var r Receipt
	path := filepath.Join(dir, receiptFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, err.Error()) // not wrapped: it would say that the export has not landed
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: read %s: %s", ErrDamaged, path, err.Error())
	}
	if r.Schema != receiptSchema {
		return nil, fmt.Errorf("%w: read %s: its schema is %q", ErrDamaged, path, r.Schema)
	}
	return &r, nil
}

// Listed yields the objects of an export that landed, each with its name and with
// what its listing promised. It fails as Receipt does, and ends after the first
// error.
func (a *Archive) Listed(key string) iter.Seq2[Pinned, error] {
	return func(yield func(Pinned, error) bool) {
		receipt, err := a.Receipt(key)
		if err != nil {
			yield(Pinned{}, err)
			return
		}
		for o, err := range receipt.objectsIn(a.Path(key)) {
			if !yield(Pinned{Name: o.Name, Want: o.Job.want()}, err) {
				return
			}
		}
	}
}

// objectsIn yields the objects of a receipt, whose bag is in dir. It ends after the
// first error.
func (r *Receipt) objectsIn(dir string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for _, o := range r.Objects {
			if !yield(o, nil) {
				return
			}
		}
		if len(r.Objects) > 0 {
			return
		}
		f, err := os.Open(filepath.Join(dir, objectsFile))
		if err != nil {
			yield(Object{}, fmt.Errorf("%w: %s", ErrDamaged, err.Error())) // not wrapped, as in Receipt
			return
		}
		defer f.Close()
		lines := json.NewDecoder(bufio.NewReader(f))
		for {
			var o Object
			err := lines.Decode(&o)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				err = fmt.Errorf("%w: read %s: %s", ErrDamaged, f.Name(), err.Error())
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
	}
}

// Landed is Receipt for a caller that goes on to say that the export landed:
// when Landed returns the receipt, the export is durable, even if its commit was
// cut short after the rename.
func (a *Archive) Landed(key string) (*Receipt, error) {
	r, err := a.Receipt(key)
	if err != nil {
		return nil, err
	}
	unfinished := false
	line, err := a.presence(key)
	if err == nil && line == nil {
		unfinished, err = a.inBatch(key)
	}
	if err == nil && !unfinished {
		if _, err = os.Lstat(a.ingestPath(key)); errors.Is(err, fs.ErrNotExist) {
			return r, nil
		}
	}
	if err == nil {
		err = a.step.SyncParents(filepath.Dir(a.Path(key)), a.dir, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("make %s durable: %w", key, err)
	}
	// To lock an export that has landed removes its ingest and fails with
	// ErrLanded. If another process has the lock, that one removes it.
	if lock, _, err := a.lockExport(r.Reference, key); err == nil {
		lock.close()
	}
	return r, nil
}

// A Summary is what an export's provider said of it as a whole.
type Summary struct {
	Reference string
	Status    string
	RequestID string
	Window    *ledger.Window // or nil if it is not known
	Records   int64          // promised, or verify.Unknown
	Doubts    []string
	Answer    any

	Version, Endpoint, Profile string // as in a Receipt
}

var errNoObjects = errors.New("the export has no objects")

// newReceipt makes the receipt of the objects that this attempt wants. If they
// are many, they are not listed in it. It is a doubt if their records are not as many
// as was promised, or can't be counted.
func (in *Ingest) newReceipt(s Summary) (*Receipt, error) {
	host, _ := os.Hostname() // "" if the system has none
	r := &Receipt{
		Schema: receiptSchema, Ledger: ledger.Schema, Reference: s.Reference, Key: in.place,
		FirstSeen: in.state.FirstSeen, Landed: time.Now().UTC().Truncate(time.Millisecond),
		Status: s.Status, RequestID: s.RequestID, Answer: s.Answer, Window: s.Window,
		Version: s.Version, Endpoint: s.Endpoint, Profile: s.Profile, Host: host, Attempts: in.state.Attempts + 1,
		Hidden: in.Hidden,
		Doubts: append([]string{}, s.Doubts...), Checks: []verify.Check{},
	}
	maps.DeleteFunc(in.objects.entries, func(_ string, e objectEntry) bool { return !e.wanted })
	objects := len(in.objects.entries)
	if objects == 0 {
		return nil, errNoObjects
	}
	counts, uncounted, err := r.addObjects(&in.objects, objects <= maxListed)
	if err != nil {
		return nil, err
	}
	for _, c := range counts {
		r.Records += c.Rows
	}
	if uncounted != "" {
		r.Records = verify.Unknown
	}
	if check, ok := verify.CheckCounts(s.Records, counts); ok {
		r.Checks = append(r.Checks, check)
		who := "the job"
		if strings.Contains(r.Reference, "records="+check.Want) {
			who = "the reference"
		}
		switch check.Verdict {
		case verify.Held:
			if r.HeadersCounted = r.Records == s.Records && r.Headers > 0; !r.HeadersCounted {
				r.Headers = r.Records - s.Records
			}
			if r.First != nil && r.Records == s.Records {
				r.First.Promise = ledger.FirstIsRow
			} else if r.First != nil {
				r.First.Promise = ledger.FirstIsHeader
			}
		case verify.Broken:
			r.Doubts = append(r.Doubts, fmt.Sprintf("count-mismatch: %s, %s promised %s", r.Rows("record"), who, check.Want))
		case verify.NotComparable:
			r.Doubts = append(r.Doubts, fmt.Sprintf("not-comparable: %s promised %s records, and those of %s can't be counted", who, check.Want, uncounted))
		}
	}
	if r.Files == 0 {
		r.Doubts = append(r.Doubts, "empty: there are no files in it, and its manifest is empty")
	}
	return r, nil
}

// addObjects adds up the objects, their headers and their doubts, and lists them. It
// returns what was counted, and the first object with content that can't be, or "".
func (r *Receipt) addObjects(objects *objectIndex, listed bool) (counts []verify.Count, uncounted string, err error) {
	unproven, doubts := 0, 0
	for o, err := range objects.all() {
		if err != nil {
			return nil, "", err
		}
		if o.Proof == "" {
			if unproven++; unproven <= maxListed {
				r.Doubts = append(r.Doubts, fmt.Sprintf("unproven: of %s only its size was promised", o.Name))
			}
		}
		r.Doubts = append(r.Doubts, o.Doubts[:min(len(o.Doubts), max(0, maxListed-doubts))]...)
		doubts += len(o.Doubts)
		for _, f := range o.Files {
			r.Files++
			r.Bytes += f.Size
			if f.Header {
				r.Headers++
			}
		}
		for _, c := range o.Counted {
			if c.Header {
				r.Headers++
			}
		}
		for _, f := range o.firsts() {
			r.addFirst(f)
		}
		for _, c := range o.Counts() {
			if counts = append(counts, c); c.Rows == verify.Unknown {
				uncounted = cmp.Or(uncounted, o.Name)
			}
		}
		if listed {
			r.Objects = append(r.Objects, o)
		}
	}
	if unproven > maxListed {
		r.Doubts = append(r.Doubts, fmt.Sprintf("unproven: of %d objects in all only their size was promised", unproven))
	}
	if doubts > maxListed {
		r.Doubts = append(r.Doubts, fmt.Sprintf("of %d doubts in all, the others are in %s", doubts, objectsFile))
	}
	return counts, uncounted, nil
}
