package fetch

import (
	"encoding/json"
	"time"

	"tallyman/verify/archive/ledger"
)

// A Window is the time that an export spans.
type Window struct {
	Place    Ref       `json:"-"` // that has the export, or zero if its scheme has no places
	Group    string    // of the windows that can be compared with each other, such as those of one log store and query
	From, To time.Time // in whole seconds; To is the first second that is not in it
}

// recorded is the window as receipts and the ledger have it. It may be nil.
func (w *Window) recorded() *ledger.Window {
	if w == nil {
		return nil
	}
	return &ledger.Window{Group: w.Group, From: w.From.Unix(), To: w.To.Unix()}
}

// WindowOf returns the window of an export that landed, by its reference or by what its
// provider answered, which it asks for only where that may tell; or nil. It is for
// [archive.Archive.WindowOf].
func WindowOf(reference string, answer func() any) *ledger.Window {
	ref, err := ParseRef(reference)
	if err != nil {
		return nil
	}
	window := ref.Window()
	if window == nil && ref.scheme.Window != nil {
		if b, err := json.Marshal(answer()); err == nil {
			window = ref.scheme.Window(ref, b)
		}
	}
	return window.recorded()
}
