package notify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/width"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch/redact"
	"tallyman/verify/archive/catalog"
)

const (
	columns   = 40  // of a line, as a phone shows it
	maxShown  = 8   // lines of what a topic is about
	maxEvents = 100 // of a Message
)

// words are what each topic is called in a title and in its heading.
var words = map[Topic]struct{ title, heading string }{
	Damage: {"damaged", "Damaged or gone"}, Failed: {"failed", "Failed"}, Unlisted: {"not listed", "Can't be listed"},
	Gap: {"late or gaps", "Late, or with gaps"}, Doubt: {"with doubts", "Landed with doubts"},
}

// A digest is what a message is made of.
type digest struct {
	events  []Event         // in the order in which they happened
	inAll   map[Topic]int64 // what is wrong now, told before or not
	cleared bool            // of what was told, nothing is wrong any more
	archive string          // as a person knows it
	hints   map[string]string
}

// message is the message of a digest, and false if there is nothing to tell.
func (d *digest) message() (Message, bool) {
	m := Message{Events: d.events[:min(len(d.events), maxEvents)]}
	var counts []string
	for _, topic := range Topics {
		var about []Event
		for _, e := range d.events {
			if e.Topic == topic {
				about = append(about, e)
			}
		}
		if len(about) == 0 {
			continue
		}
		counts = append(counts, fmt.Sprintf("%d %s", len(about), words[topic].title))
		m.Topics = append(m.Topics, topic)
		m.Lines = append(append(m.Lines, heading(topic, len(about), d.inAll[topic])...), d.list(about)...)
	}
	if d.cleared {
		counts = append(counts, "all clear")
		m.Topics = append(m.Topics, AllClear)
		m.Lines = append(m.Lines, "Nothing is wrong now of what was told.")
	}
	m.Title = "Tallyman: " + strings.Join(counts, ", ")
	for i := len(counts) - 1; i > 0 && columnsOf(m.Title) > columns; i-- { // the lines tell of the rest
		m.Title = "Tallyman: " + strings.Join(counts[:i], ", ") + ", …"
	}
	m.Lines = append(m.Lines, shorten("archive "+d.archive, columns))
	return m, len(m.Topics) > 0
}

// heading says how many events of a topic there are, and how many more are known of before
// them. It takes two lines if there are too many for one.
func heading(topic Topic, events int, inAll int64) []string {
	text := fmt.Sprintf("%s: %d", words[topic].heading, events)
	if inAll <= int64(events) {
		return []string{text}
	}
	all := fmt.Sprintf(" (%d in all)", inAll)
	if columnsOf(text+all) > columns {
		return []string{text, all}
	}
	return []string{text + all}
}

// daily is the message of a day, of all that is wrong.
func (d *digest) daily(now time.Time, landed catalog.Sum, waiting int64) Message {
	m, isWrong := d.message()
	if m.Topics = []Topic{Daily}; !isWrong {
		m.Title = "Tallyman: all is well"
	}
	head := []string{now.Format("Mon 2 Jan 2006"), fmt.Sprintf("%d landed in 24 hours, %s", landed.Exports, flagvalue.FormatSize(landed.Bytes))}
	if waiting > 0 {
		head = append(head, fmt.Sprintf("%d waiting", waiting))
	}
	m.Lines = append(head, m.Lines...)
	return m
}

// list lists what a topic is about, by cause, the most frequent first.
func (d *digest) list(about []Event) (lines []string) {
	byCause := map[string][]Event{}
	var causes []string
	for _, e := range about {
		if byCause[e.Cause] == nil {
			causes = append(causes, e.Cause)
		}
		byCause[e.Cause] = append(byCause[e.Cause], e)
	}
	slices.SortStableFunc(causes, func(a, b string) int { return cmp.Compare(len(byCause[b]), len(byCause[a])) })
	share := max(1, maxShown/len(causes))
	for i, cause := range causes {
		if i == maxShown {
			lines = append(lines, fmt.Sprintf(" and %d causes more", len(causes)-i))
			break
		}
		of := byCause[cause]
		if cause != "" {
			lines = append(lines, shorten(fmt.Sprintf(" %s: %d", cause, len(of)), columns))
		}
		if hint := d.hints[cause]; hint != "" {
			lines = append(lines, "  ("+hint+")")
		}
		for j, e := range of {
			if j == share {
				lines = append(lines, fmt.Sprintf("  and %d more", len(of)-j))
				break
			}
			lines = append(lines, "  "+shorten(e.About, columns-2))
		}
	}
	return lines
}

// shorten leaves out the middle of a text that is too long for a line, and what is secret.
func shorten(text string, limit int) string {
	text = strings.Map(func(r rune) rune { // a name may have any letter in it
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, redact.Text(text))
	if columnsOf(text) <= limit {
		return text
	}
	letters := []rune(text)
	head, tail, taken := 0, len(letters), 1 // of the sign that something is left out
	for ; taken+widthOf(letters[head]) <= limit*2/5; head++ {
		taken += widthOf(letters[head])
	}
	for ; taken+widthOf(letters[tail-1]) <= limit; tail-- {
		taken += widthOf(letters[tail-1])
	}
	return string(letters[:head]) + "…" + string(letters[tail:])
}

// columnsOf is how many columns a text takes.
func columnsOf(text string) (n int) {
	for _, r := range text {
		n += widthOf(r)
	}
	return n
}

// widthOf is how many columns a letter takes.
func widthOf(r rune) int {
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}
