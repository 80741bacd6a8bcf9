package catalog

import (
	"encoding/binary"
	"encoding/json"
	"iter"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// A row is an export as the catalog keeps it. Times are milliseconds since 1970, or 0.
type row struct {
	id    int64 // 0: it is not in the file yet
	key   string
	ref   string // "" if plainRef tells it
	place int64

	stands   Phase // by the last line that says how far it is
	presence Phase // by the last line that says whether it is in its place: Landed, Damaged, Absent, Removed or ""
	phase    Phase // what follows from both

	firstAsked, asked, landed, changed int64

	cause, message, requestID string
	bytes, records            int64
	first                     First
	window                    rowWindow
	ready, ends               int64  // when it became known until when what is to be fetched is there at least, and until when; of what was asked for
	countDue                  int64  // see archive.CountDue
	doubts                    string // JSON, or ""
	open                      int
	bag, profile, wait        string
	attempts                  int

	acceptedAt                 int64
	acceptedBy, acceptedReason string
	acceptedDoubts             string // JSON

	lines []byte // where the lines of it are, see linesIn

	before sumKey // as it is counted in the sums, if wasCounted
	was    Sum
	counts bool
}

// rowColumns are the columns of a row, in the order of values and of readRow.
const rowColumns = "key, ref, place, stands, presence, phase, first_asked, asked, landed, changed, at, cause, message, request_id, bytes, records, first, first_is, first_rows, " +
	"window_group, window_from, window_to, again, count_due, doubts, open, bag, profile, wait, attempts, ready, ends, accepted, accepted_at, accepted_by, accepted_reason, accepted_doubts, lines"

// plainRef is the reference that is not kept, since it follows from the key.
const plainRef = "replace(substr(key, 1, instr(key, '/')), '/', '://') || substr(key, instr(key, '/') + 1)"

func (r *row) reference() string {
	if r.ref != "" {
		return r.ref
	}
	return strings.Replace(r.key, "/", "://", 1)
}

// at is the time that exports are chosen by.
func (r *row) at() int64 {
	if r.phase == Landed {
		return r.landed
	}
	return r.changed
}

// isAccepted reports whether nothing that is wrong with the export is left to look at.
func (r *row) isAccepted() bool {
	if r.phase == Landed {
		return r.doubts != "" && r.open == 0
	}
	return r.acceptedAt != 0 && r.acceptedAt >= r.changed
}

// values are the columns of the row. Texts that are mostly empty are NULL then.
func (r *row) values() []any {
	var ref any
	if r.ref != "" {
		ref = r.ref
	}
	return []any{
		r.key, ref, r.place, string(r.stands), string(r.presence), string(r.phase), r.firstAsked, r.asked, r.landed, r.changed, r.at(), r.cause, r.message, r.requestID, r.bytes, r.records,
		r.first.Hash, int64(r.first.Is), r.first.Rows,
		r.window.group, r.window.from, r.window.to, r.isAgain(), r.countDue, r.doubts, int64(r.open), r.bag, r.profile, r.wait, int64(r.attempts), r.ready, r.ends, r.isAccepted(), r.acceptedAt, r.acceptedBy, r.acceptedReason, r.acceptedDoubts, r.lines,
	}
}

// readRow reads rowid and rowColumns.
func readRow(s *sqlite3.Stmt) *row {
	text, n := s.ColumnText, s.ColumnInt64
	r := &row{
		id: n(0), key: text(1), ref: text(2), place: n(3), stands: Phase(text(4)), presence: Phase(text(5)), phase: Phase(text(6)),
		firstAsked: n(7), asked: n(8), landed: n(9), changed: n(10), cause: text(12), message: text(13), requestID: text(14), bytes: n(15), records: n(16),
		first:  First{n(17), FirstIs(n(18)), n(19)},
		window: rowWindow{n(20), n(21), n(22)}, countDue: n(24), doubts: text(25), open: s.ColumnInt(26), bag: text(27), profile: text(28), wait: text(29), attempts: s.ColumnInt(30), ready: n(31), ends: n(32),
		acceptedAt: n(34), acceptedBy: text(35), acceptedReason: text(36), acceptedDoubts: text(37), lines: s.ColumnBlob(38, nil),
	}
	r.before, r.was, r.counts = r.sumKey(), r.sum(), true
	return r
}

// sumKey says in which sum the row is counted.
func (r *row) sumKey() sumKey {
	return sumKey{r.place, r.phase, r.cause, r.open > 0, r.isAccepted()}
}

func (r *row) sum() Sum { return Sum{1, max(r.bytes, 0), max(r.records, 0)} }

// setRef keeps a reference unless it follows from the key.
func (r *row) setRef(ref string) {
	if ref == "" {
		return
	}
	if r.ref = ref; ref == strings.Replace(r.key, "/", "://", 1) {
		r.ref = ""
	}
}

// countOpen counts the doubts of what landed that are not accepted.
func (r *row) countOpen() {
	var doubts, accepted []string
	_ = json.Unmarshal([]byte(r.doubts), &doubts) // none if it is ""
	_ = json.Unmarshal([]byte(r.acceptedDoubts), &accepted)
	r.open = 0
	if r.phase != Landed {
		return
	}
	for _, doubt := range doubts {
		if !slices.Contains(accepted, doubt) {
			r.open++
		}
	}
}

func jsonOf(v any) string {
	b, _ := json.Marshal(v) // which texts and numbers always have
	return string(b)
}

// addLine notes where a line of the row is.
func (r *row) addLine(file int, at int64) {
	r.lines = binary.AppendUvarint(binary.AppendUvarint(r.lines, uint64(file)), uint64(at))
}

// linesIn yields the number of the file and the offset of each line that was noted.
func linesIn(b []byte) iter.Seq2[int, int64] {
	return func(yield func(int, int64) bool) {
		for len(b) > 0 {
			file, n := binary.Uvarint(b)
			at, m := binary.Uvarint(b[max(n, 0):])
			if n <= 0 || m <= 0 || !yield(int(file), int64(at)) {
				return
			}
			b = b[n+m:]
		}
	}
}
