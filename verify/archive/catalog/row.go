package catalog

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"

	"tallyman/verify/archive/ledger"
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
	window, doubts            string // JSON, or ""
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
	return r.acceptedAt != 0
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

// windowOf is a window as it is kept.
func windowOf(w *ledger.Window) string {
	if w == nil {
		return ""
	}
	return jsonOf(w)
}
