package catalog

import (
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// An Order is what exports are ordered by, before their keys.
type Order string

// The orders.
const (
	ByKey     Order = ""
	ByWhen    Order = "at"
	ByBytes   Order = "bytes"
	ByRecords Order = "records"
	ByWindow  Order = "window_from"
	ByEnd     Order = "ends"
	Unordered Order = "unordered" // as is fastest
)

// A Filter says which exports are wanted: those that meet all of its fields that are
// set.
type Filter struct {
	Places []string // that are in one of these
	Phases []Phase  // that stand so; none is all but Removed
	Causes []string
	Key    string    // the export of this key, and what landed beside it later
	Prefix string    // whose reference begins so
	Match  string    // the name of which, behind the last slash of the reference, matches this GLOB of SQLite
	Text   string    // whose reference, cause or message has this text; of ASCII letters the case counts for nothing
	Name   string    // the same of the reference alone, which is faster
	Since  time.Time // whose When is this or later
	Until  time.Time // whose When is before this
	Asked  time.Time // that were first asked for after this; of those that nobody asked for, their When

	Group string // whose window is of this group
	From  int64  // whose window ends after this second since 1970
	To    int64  // whose window begins before this

	Doubts     bool // with open doubts
	Ending     bool // of which it is known until when what is to be fetched is there
	Unaccepted bool // that are not accepted
	MinRecords int64
	MaxRecords *int64 // nil is any; 0 finds those that are empty

	Order Order
	Desc  bool // the last first
	Skip  int
	Limit int // 0 is all
}

// where is the filter as a condition, and the values of its parameters.
func (f *Filter) where() (condition string, args []any) {
	places, phases, causes := valuesOf(f.Places), valuesOf(f.Phases), valuesOf(f.Causes)
	most := int64(0)
	if f.MaxRecords != nil {
		most = *f.MaxRecords
	}
	const ref = "coalesce(ref, " + plainRef + ")"
	var conditions []string
	for _, c := range []struct {
		set  bool
		sql  string
		args []any
	}{
		{len(places) > 0, "place IN (SELECT id FROM places WHERE name IN (" + marks(places) + "))", places},
		{!f.Since.IsZero(), "at >= ?", []any{f.Since.UnixMilli()}},
		{!f.Until.IsZero(), "at < ?", []any{f.Until.UnixMilli()}},
		{!f.Asked.IsZero(), "coalesce(nullif(first_asked, 0), at) > ?", []any{f.Asked.UnixMilli()}},
		{len(phases) == 0, "phase <> 'removed'", nil},
		{len(phases) > 0, "phase IN (" + marks(phases) + ")", phases},
		{len(phases) > 0 && !slices.Contains(f.Phases, Landed), "phase <> 'landed'", nil}, // as the index by cause has it
		{len(causes) > 0, "cause IN (" + marks(causes) + ")", causes},
		{f.Key != "", "(key = ? OR key > ? AND key < ?)", []any{f.Key, f.Key + "@", f.Key + "A"}}, // A follows @
		{f.Prefix != "", "substr(" + ref + ", 1, ?) = ?", []any{int64(utf8.RuneCountInString(f.Prefix)), f.Prefix}},
		{f.Match != "", "substr(" + ref + ", length(rtrim(" + ref + ", replace(" + ref + ", '/', ''))) + 1) GLOB ?", []any{f.Match}},
		{f.Text != "", "instr(lower(" + ref + " || char(10) || cause || char(10) || message), lower(?)) > 0", []any{f.Text}},
		{f.Name != "", `(key LIKE ? ESCAPE '\' OR ref LIKE ? ESCAPE '\')`, []any{"%" + literal(strings.Replace(f.Name, "://", "/", 1)) + "%", "%" + literal(f.Name) + "%"}},
		{f.Group != "", "window_to > 0 AND window_group = (SELECT id FROM window_groups WHERE name = ?)", []any{f.Group}},
		{f.From != 0, "window_to > ?", []any{f.From}},
		{f.To != 0, "window_to > 0 AND window_from < ?", []any{f.To}},
		{f.Doubts, "open > 0", nil},
		{f.Ending, "ends > 0", nil},
		{f.Unaccepted, "NOT accepted", nil},
		{f.MinRecords > 0, "records >= ?", []any{f.MinRecords}},
		{f.MaxRecords != nil, "records BETWEEN 0 AND ?", []any{most}},
	} {
		if c.set {
			conditions, args = append(conditions, c.sql), append(args, c.args...)
		}
	}
	return strings.Join(conditions, " AND "), args
}

// marks are the parameters of a list of values.
func marks(values []any) string {
	return strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")
}

// valuesOf are texts as values of parameters.
func valuesOf[T ~string](texts []T) (values []any) {
	for _, text := range texts {
		values = append(values, string(text))
	}
	return values
}

// literal has LIKE take a text as it is.
var literal = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace
