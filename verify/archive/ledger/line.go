package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Kind says what a line tells. Lines of other kinds are part of the chain, and
// readers that don't know them skip them.
type Kind string

// The kinds of lines that this package knows of.
const (
	Asked     Kind = "asked"     // an export was asked for
	Landed    Kind = "landed"    // an export is in its place
	Failed    Kind = "failed"    // an export was given up
	Cancelled Kind = "cancelled" // a person called it off
	Adopted   Kind = "adopted"   // what was there before is taken in, or a break is named
	Restored  Kind = "restored"  // an export that was absent or damaged is in its place again
	Torn      Kind = "torn"      // bytes were cut off the end of the ledger
	Damaged   Kind = "damaged"   // an export is not as it landed
	Absent    Kind = "absent"    // an export is not in its place
	Healed    Kind = "healed"    // an export that was damaged is whole
	Rechecked Kind = "rechecked" // a run of rechecks has ended
	Listed    Kind = "listed"    // a place was listed, or could not be
	Accepted  Kind = "accepted"  // a person takes a doubt, a failure or a gap as it is
	Removed   Kind = "removed"   // a person takes an export out of the archive's lists
	Witnessed Kind = "witnessed" // the source counted the window of an export by itself
	Created   Kind = "created"   // a job of our own making is at its service
	Deleted   Kind = "deleted"   // a job of our own making was removed from its service
	Ready     Kind = "ready"     // a job has ended, and it is known until when what it yielded is there
	Notified  Kind = "notified"  // somebody is about to be told of the lines before, or was
)

var kinds = []Kind{Asked, Landed, Failed, Cancelled, Adopted, Restored, Torn, Damaged, Absent, Healed, Rechecked, Listed, Accepted, Removed, Witnessed, Created, Deleted, Ready, Notified}

// Schema names the form of the lines.
const Schema = "tallyman.ledger/v1"

const (
	schemaPrefix = "tallyman.ledger/"
	timeLayout   = "2006-01-02T15:04:05.000Z"

	// maxSeq leaves room behind it, and is exact in every reader of JSON.
	maxSeq = 1 << 53
)

// Unknown are the bytes or records of a line if nobody could count them.
const Unknown = -1

// A Line is one event. Append sets Schema, Seq and Prev, and At if it is zero.
type Line struct {
	Schema string    `json:"schema"` // tallyman.ledger/v1
	Seq    int64     `json:"seq"`    // counts from 1 and decides order; 0 in a side file
	At     time.Time `json:"at"`     // UTC, in milliseconds
	Kind   Kind      `json:"kind"`

	Ref     string   `json:"ref,omitempty"`     // the export's reference, or the place that was listed, rechecked or accepted; notified: the name of who is told
	Key     string   `json:"key,omitempty"`     // its path in the archive
	Bag     string   `json:"bag,omitempty"`     // SHA-256 of its tagmanifest-sha256.txt, in hex
	Bytes   int64    `json:"bytes,omitempty"`   // of content, as in the receipt, or Unknown; always there if landed, adopted or restored
	Records int64    `json:"records,omitempty"` // counted, as in the receipt, or Unknown; likewise
	First   *First   `json:"first,omitempty"`   // landed, adopted, restored: of the CSV files, as in the receipt
	Window  *Window  `json:"window,omitempty"`
	Doubts  []string `json:"doubts,omitempty"` // reasons to look twice, as in the receipt; accepted: those that are; witnessed: those that follow

	LandedAt time.Time `json:"landed_at,omitzero"` // adopted, restored: when it landed, as in the receipt

	Profile string          `json:"profile,omitempty"` // asked, listed: the name of the account
	Wait    string          `json:"wait,omitempty"`    // asked: how long it is waited for, as "24h0m0s"
	Options json.RawMessage `json:"options,omitempty"` // asked: the caller's own

	Ends time.Time `json:"ends,omitzero"` // asked, ready: until when what is to be fetched is there at least

	Cause     string `json:"cause,omitempty"`      // failed: one of a closed list; listed: why that failed; accepted: of the failure that is
	Message   string `json:"message,omitempty"`    // likewise: the error's text, without secrets; notified: the title of what was sent
	RequestID string `json:"request_id,omitempty"` // failed, listed: of the provider's answer

	Found   int64 `json:"found,omitempty"`   // listed: how many exports the place has; always there if it has no message
	New     int64 `json:"new,omitempty"`     // likewise: of them, those that the archive did not know
	Missing int64 `json:"missing,omitempty"` // listed: of those, the ones that nobody was asked to fetch
	Partial bool  `json:"partial,omitempty"` // listed: these count some exports of the place alone, as those of the last days

	Part    string `json:"part,omitempty"`    // rechecked: which part, as "1/7"; "": all
	Checked int64  `json:"checked,omitempty"` // rechecked: how many exports; always there
	Worst   string `json:"worst,omitempty"`   // rechecked: the worst that was found: whole, newer, absent or damaged; notified: whole, or wrong if there is something to clear up

	Problems []string `json:"problems,omitempty"` // damaged: what a recheck found
	Counted  int64    `json:"counted,omitempty"`  // witnessed: how many records the source counts, or Unknown; always there
	Verdict  string   `json:"verdict,omitempty"`  // witnessed: what follows from that

	Through bool   `json:"through,omitempty"` // adopted: all that landed before the ledger has its line
	Reason  string `json:"reason,omitempty"`  // a person's
	By      string `json:"by,omitempty"`      // accepted, removed, asked, cancelled: the name of that person, if it is known; notified: a random name of the one sending
	Deleted bool   `json:"deleted,omitempty"` // removed: with its bag
	Cut     int64  `json:"cut,omitempty"`     // torn: how many bytes
	Break   *Break `json:"break,omitempty"`   // adopted: the break that it names

	Day  string   `json:"day,omitempty"`  // notified: of the daily summary that it is, as "2026-12-02"
	Told []string `json:"told,omitempty"` // notified: of what no line tells, as a gap is, names of what was told
	Sent bool     `json:"sent,omitempty"` // notified: it was sent, and is not about to be

	Side string `json:"side,omitempty"` // RANDOM of the side file that it came from; torn: of the file that keeps the bytes
	Prev string `json:"prev"`           // SHA-256 of the line before, without its newline, in hex; "" in a side file
}

// A Window is the time that an export spans, as its job was asked for it.
type Window struct {
	Group string `json:"group"` // the windows that can be compared with each other, as those of one log store and query
	From  int64  `json:"from"`  // the first second, counted from 1970 in UTC
	To    int64  `json:"to"`    // the second behind the last
}

// A First tells of the first records of the CSV files of an export, which may be headers.
// Files without records don't count.
type First struct {
	SHA256  string `json:"sha256,omitempty"`  // of the record, as verify.First has it; "": the files begin with different ones
	Files   int64  `json:"files"`             // how many there are
	Again   bool   `json:"again,omitempty"`   // in one of them the second record is, or may be, the same
	Promise string `json:"promise,omitempty"` // by the number of records that the job promised, and that came, the first ones are one of these
}

// What a promise of records that holds says of the first record of each file.
const (
	FirstIsRow    = "row"    // it was promised
	FirstIsHeader = "header" // it was not
)

// A Break is a place in the ledger where the chain does not hold.
type Break struct {
	File      string `json:"file"`       // where it was found, a name in the ledger's directory
	SeqBefore int64  `json:"seq_before"` // of the last whole line before it; 0: there is none
	SeqAfter  int64  `json:"seq_after"`  // of the first whole line behind it; 0: there is none
	Before    string `json:"before"`     // SHA-256 of the line before as it stands, in hex, or the genesis
	After     string `json:"after"`      // SHA-256 of the line behind as it stands, in hex, or ""
}

// counted reports whether bytes and records are written even if they are 0.
func (l *Line) counted() bool {
	return l.Key != "" && (l.Kind == Landed || l.Kind == Adopted || l.Kind == Restored)
}

// body is the part of a line between at and prev as JSON: from kind to the last of
// its own fields.
func (l *Line) body() ([]byte, error) {
	counted, listed := l.counted(), l.Kind == Listed && l.Message == ""
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	for _, f := range []struct {
		name    string
		value   any
		written bool
	}{
		{"kind", l.Kind, true},
		{"ref", l.Ref, l.Ref != ""},
		{"key", l.Key, l.Key != ""},
		{"bag", l.Bag, l.Bag != ""},
		{"bytes", l.Bytes, l.Bytes != 0 || counted},
		{"records", l.Records, l.Records != 0 || counted},
		{"first", l.First, l.First != nil},
		{"window", l.Window, l.Window != nil},
		{"doubts", l.Doubts, len(l.Doubts) > 0},
		{"landed_at", l.LandedAt.UTC(), !l.LandedAt.IsZero()},
		{"profile", l.Profile, l.Profile != ""},
		{"wait", l.Wait, l.Wait != ""},
		{"options", l.Options, len(l.Options) > 0},
		{"ends", l.Ends.UTC(), !l.Ends.IsZero()},
		{"cause", l.Cause, l.Cause != ""},
		{"message", l.Message, l.Message != ""},
		{"request_id", l.RequestID, l.RequestID != ""},
		{"found", l.Found, l.Found != 0 || listed},
		{"new", l.New, l.New != 0 || listed},
		{"missing", l.Missing, l.Missing != 0},
		{"partial", true, l.Partial},
		{"part", l.Part, l.Part != ""},
		{"checked", l.Checked, l.Checked != 0 || l.Kind == Rechecked},
		{"worst", l.Worst, l.Worst != ""},
		{"counted", l.Counted, l.Kind == Witnessed},
		{"verdict", l.Verdict, l.Verdict != ""},
		{"problems", l.Problems, len(l.Problems) > 0},
		{"through", true, l.Through},
		{"reason", l.Reason, l.Reason != ""},
		{"by", l.By, l.By != ""},
		{"deleted", true, l.Deleted},
		{"cut", l.Cut, l.Cut != 0},
		{"break", l.Break, l.Break != nil},
		{"day", l.Day, l.Day != ""},
		{"told", l.Told, len(l.Told) > 0},
		{"sent", true, l.Sent},
		{"side", l.Side, l.Side != ""},
	} {
		if !f.written {
			continue
		}
		b.WriteString(`,"` + f.name + `":`)
		if err := encoder.Encode(f.value); err != nil {
			return nil, fmt.Errorf("the %s of a line of kind %s: %w", f.name, l.Kind, err)
		}
		b.Truncate(b.Len() - 1) // the encoder ends each value with a newline
	}
	return b.Bytes()[1:], nil
}

// appendLine appends a line without its newline. seq is 0 in a side file, which has
// no chain.
func appendLine(b []byte, seq int64, at time.Time, body []byte, prev string) []byte {
	b = append(b, `{"schema":"`+Schema+`",`...)
	if seq > 0 {
		b = strconv.AppendInt(append(b, `"seq":`...), seq, 10)
		b = append(b, ',')
	}
	b = at.UTC().AppendFormat(append(b, `"at":"`...), timeLayout)
	b = append(append(b, `",`...), body...)
	if seq > 0 {
		b = append(append(append(b, `,"prev":"`...), prev...), '"')
	}
	return append(b, '}')
}

func hashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}

var errNoLine = errors.New("it is no line of a ledger")

// parse reads a line of the chain. A line is whole if what ties it to the chain can be
// read. One that is whole and can't be read otherwise is part of the chain as it
// stands; that is an error only if its kind is known.
func parse(b []byte) (l Line, whole bool, err error) {
	l, err = decode(b)
	if err != nil {
		link := struct {
			Schema string
			Seq    int64
			Kind   Kind
			Prev   string
		}{}
		if json.Unmarshal(b, &link) != nil {
			return Line{}, false, errNoLine
		}
		l = Line{Schema: link.Schema, Seq: link.Seq, Kind: link.Kind, Prev: link.Prev}
	}
	_, notHex := hex.DecodeString(l.Prev)
	if !strings.HasPrefix(l.Schema, schemaPrefix) || l.Seq < 1 || l.Seq > maxSeq || len(l.Prev) != 2*sha256.Size || notHex != nil {
		return Line{}, false, errNoLine
	}
	if !slices.Contains(kinds, l.Kind) {
		err = nil
	}
	return l, true, err
}

// decode reads a line, of the chain or of a side file.
func decode(b []byte) (Line, error) {
	const absent = math.MinInt64
	l := Line{Bytes: absent, Records: absent}
	if err := json.Unmarshal(b, &l); err != nil {
		return Line{}, err
	}
	for _, n := range []*int64{&l.Bytes, &l.Records} {
		if *n != absent {
			continue
		}
		*n = 0
		if l.counted() {
			*n = Unknown
		}
	}
	return l, nil
}
