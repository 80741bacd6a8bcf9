package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"tallyman/verify"
)

const receiptSchema = "tallyman.receipt/v1"

// A Receipt says what was promised of an export that landed and whether it
// held. It is receipt.json of the bag.
type Receipt struct {
	Schema    string         `json:"schema"`
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
}

// An Object of a receipt is one remote file as it was transferred.
type Object struct {
	Name   string         `json:"name"`
	Size   int64          `json:"size"`
	CRC64  string         `json:"crc64"` // as received
	Job    Promise        `json:"job"`   // what the job promised
	Store  Promise        `json:"store"` // what the store promised
	Checks []verify.Check `json:"checks"`
	Proof  string         `json:"proof,omitempty"` // the check that proves the bytes
	Codec  string         `json:"codec,omitempty"`
	Files  []File         `json:"files"`

	// Counted is what was decoded to prove and to count it, and not kept.
	Counted []Counted `json:"counted,omitempty"`

	Doubts []string `json:"doubts,omitempty"` // of it alone: each is one of the receipt too
}

// A File of a receipt is one content file, below data/.
type File struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`
	Wire    bool   `json:"wire,omitempty"`   // the object's bytes as transferred
	Format  string `json:"format,omitempty"` // "csv" or "json" if its records were counted
	Records int64  `json:"records"`          // rows, a header row among them; -1: not countable
}

// Counted is content that was decoded and not kept.
type Counted struct {
	Name    string `json:"name"`
	Format  string `json:"format,omitempty"`
	Records int64  `json:"records"`
}

// proof is the check that proves an object, or "" if none does: its size
// alone is no proof, but with the codec's own checksum it is.
func proof(check string, summed bool) string {
	switch {
	case check != verify.CheckSize:
		return check
	case summed:
		return "size and the codec's checksum"
	}
	return ""
}

// Receipt reads the receipt of an export that landed. It fails with
// fs.ErrNotExist if the export has not, and with ErrDamaged if the receipt
// can't be read.
func (a *Archive) Receipt(key string) (*Receipt, error) {
	landed, err := a.landed(key)
	if err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	if !landed {
		return nil, fmt.Errorf("read receipt of %s: %w", key, fs.ErrNotExist)
	}
	var r Receipt
	if err := readJSON(filepath.Join(a.Path(key), receiptFile), &r); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrDamaged, err.Error()) // not wrapped: a receipt that is missing is no export that is
	}
	if r.Schema != receiptSchema || r.Key != key {
		return nil, fmt.Errorf("%w: the receipt of %s is not its own", ErrDamaged, key)
	}
	return &r, nil
}

// Landed is Receipt, and completes a commit that was cut short once the export
// of that key was under its final name: when Landed returns the
// receipt, the export is durable.
func (a *Archive) Landed(key string) (*Receipt, error) {
	r, err := a.Receipt(key)
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(filepath.Join(a.dir, ingestDir, hashName(key)))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("settle %s: %w", key, err)
	}
	if err := a.settle(key); err != nil {
		return nil, fmt.Errorf("settle %s: %w", key, err)
	}
	if in, err := a.Begin(context.Background(), r.Reference, key); err == nil { // it clears up and is ErrLanded, or another does
		in.Close()
	}
	return r, nil
}

// A Summary is what an export's provider said of it as a whole.
type Summary struct {
	Reference string
	Status    string
	RequestID string
	Records   int64 // promised, or verify.Unknown
	Doubts    []string
	Answer    any
}

// receipt sums up what the ingest holds under a claim. Many objects are not in
// the receipt but beside it.
func (in *Ingest) receipt(claim Summary) (*Receipt, error) {
	r := &Receipt{
		Schema: receiptSchema, Reference: claim.Reference, Key: in.key,
		FirstSeen: in.state.FirstSeen, Landed: time.Now().UTC().Truncate(time.Millisecond),
		Status: claim.Status, RequestID: claim.RequestID, Answer: claim.Answer,
		Doubts: append([]string{}, claim.Doubts...), Checks: []verify.Check{},
	}
	objects := in.objects.close()
	if objects == 0 {
		return nil, errors.New("the export has no objects")
	}
	var counts []verify.Count
	unproven, doubted := 0, 0
	for o, err := range in.objects.all() {
		if err != nil {
			return nil, err
		}
		if o.Proof == "" {
			unproven++
			r.doubt(unproven, o.Name)
		}
		doubted += r.doubtEach(doubted, o.Doubts)
		for _, f := range o.Files {
			r.Files++
			r.Bytes += f.Size
		}
		counts = append(counts, o.counts()...)
		if objects <= fewObjects {
			r.Objects = append(r.Objects, o)
		}
	}
	if unproven > fewObjects {
		r.Doubts = append(r.Doubts, fmt.Sprintf("unproven: of %d objects in all only their size was promised", unproven))
	}
	if doubted > fewObjects {
		r.Doubts = append(r.Doubts, fmt.Sprintf("of %d doubts in all, the others are in %s", doubted, objectsFile))
	}
	r.countRecords(claim.Records, counts)
	return r, nil
}

// doubt names the n-th object that is unproven, if it is one of the first.
func (r *Receipt) doubt(n int, name string) {
	if n <= fewObjects {
		r.Doubts = append(r.Doubts, fmt.Sprintf("unproven: of %s only its size was promised", name))
	}
}

// doubtEach takes over the doubts of an object, if they are among the first,
// and returns their number.
func (r *Receipt) doubtEach(before int, doubts []string) int {
	r.Doubts = append(r.Doubts, doubts[:min(len(doubts), max(0, fewObjects-before))]...)
	return len(doubts)
}

// counts are those of all content that was decoded.
func (o Object) counts() (counts []verify.Count) {
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

func (r *Receipt) countRecords(promised int64, counts []verify.Count) {
	for _, c := range counts {
		if c.Rows == verify.Unknown {
			r.Records = verify.Unknown
			break
		}
		r.Records += c.Rows
	}
	check, any := verify.CheckCounts(promised, counts)
	if !any {
		return
	}
	r.Checks = append(r.Checks, check)
	if check.Verdict == verify.Broken {
		r.Doubts = append(r.Doubts, fmt.Sprintf("count-mismatch: %s records, the job promised %s", check.Got, check.Want))
	}
}

// Commit lets the export land: it is under its final name and durable when
// Commit returns. If Commit fails the export is absent, or whole but perhaps
// not durable; another attempt finds out which. Commit takes the verdicts on the
// bytes from the objects that are done, of which this attempt must have asked
// Done or called Finish; what else is in the ingest is not in the export.
func (in *Ingest) Commit(claim Summary) (*Receipt, error) {
	in.taken = false
	r, err := in.receipt(claim)
	if err == nil {
		err = in.commit(r)
	}
	if err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return r, nil
}
