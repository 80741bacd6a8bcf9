package page

import (
	"context"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	g "maragu.dev/gomponents"
)

// fill puts a text into all that a value has of texts, a bool into all bools, and one element
// into each slice.
func fill(v reflect.Value, text string, is bool) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(is)
	case reflect.Int, reflect.Int64:
		if v.SetInt(1); is {
			v.SetInt(2)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text, is)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text, is)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type() != reflect.TypeFor[time.Time]() {
				fill(v.Field(i), text, is)
			}
		}
	}
}

func filled[T any](text string, is bool) (v T) {
	fill(reflect.ValueOf(&v).Elem(), text, is)
	return v
}

// allViews are the pages with a text in each place that takes one.
func allViews(text string, is bool) map[string]g.Node {
	v := &views{logsIn: true, by: &crowd{}}
	ask := filled[question](text, is)
	all := map[string]g.Node{
		"overview": v.overview(filled[Overview](text, is), filled[Running](text, is)),
		"live":     Running{Exports: filled[[]RunningExport](text, is), Retries: filled[[]NextTry](text, is), Places: filled[[]WaitingPlace](text, is)}.view(),
		"exports":  v.exports(filled[Query](text, is), filled[ExportList](text, is), ""),
		"problem":  v.exports(filled[Query](text, is), ExportList{}, text),
		"story":    v.story(text, filled[Story](text, is)),
		"coverage": v.coverage(filled[Coverage](text, is)),
		"window":   v.coverage(Coverage{Place: text, Groups: []CoverageGroup{{Gaps: filled[[]Window]("", is)}}}),
		"notified": v.notifications(filled[Notifications](text, is)),
		"question": v.question(ask),
		"done":     v.done(filled[told](text, is)),
		"login":    v.login(filled[login](text, is)),
		"logout":   v.logout(text),
		"message":  v.message(text, "problem", text),
	}
	for verb, phases := range phasesOf {
		for _, phase := range append(phases, "") {
			ask.Action.Verb, ask.Action.Phase, ask.Action.Ref = verb, phase, ""
			all[string(verb)+" "+phase] = v.question(ask)
		}
	}
	return all
}

// outline is a page without what its texts say: its elements, and their attributes by name.
// addresses are where it leads, and said is all that it says.
func outline(t *testing.T, view g.Node) (elements, addresses []string, said string) {
	t.Helper()
	var b strings.Builder
	if err := view.Render(&b); err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(b.String(), "<!doctype html>")))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements, addresses, said
		}
		if err != nil {
			t.Fatal(err, &b)
		}
		switch token := token.(type) {
		case xml.StartElement:
			element := token.Name.Local
			for _, a := range token.Attr {
				element += " " + a.Name.Local
				said += a.Value + "\n"
				if slices.Contains([]string{"href", "src", "action"}, a.Name.Local) {
					addresses = append(addresses, a.Value)
				}
			}
			elements = append(elements, element)
		case xml.CharData:
			said += string(token) + "\n"
		case xml.Comment, xml.Directive, xml.ProcInst:
			t.Errorf("a %T: %s", token, &b)
		}
	}
}

// Whatever places, log stores, errors and reasons are called: a page has no other elements
// and attributes for it, leads nowhere else, and says it as it is.
func TestNoTextBreaksOutOfAPage(t *testing.T) {
	t.Parallel()
	for _, is := range []bool{false, true} {
		plain := allViews("plain", is)
		for _, hostile := range []string{
			`"><script>alert(1)</script>`, `' onmouseover='alert(1)`, `x" onfocus="alert(1)" autofocus="`, `</title></textarea></pre><img src=x onerror=alert(1)>`,
			`javascript:alert(1)`, `JaVaScRiPt://x/%0aalert(1)`, `data:text/html,<script>alert(1)</script>`, `//evil.example/x`, `/\evil.example`, `https://evil.example/`,
			`<!--`, `]]>`, `&quot;&gt;&lt;b&gt;`, `<?x`,
		} {
			for name, view := range allViews(hostile, is) {
				want, _, _ := outline(t, plain[name])
				got, addresses, said := outline(t, view)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s: -plain +hostile\n%s", name, hostile, diff)
				}
				if !strings.Contains(said, hostile) && name != "logout" {
					t.Errorf("%s does not say %s: %s", name, hostile, said)
				}
				for _, address := range addresses {
					if address != "" && (!strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//") || strings.Contains(address, `\`)) {
						t.Errorf("%s: %s: it leads to %s", name, hostile, address)
					}
				}
			}
		}
	}
}

// A text with ends of lines makes no other event of what is sent to browsers.
func TestNoTextBreaksOutOfAnEvent(t *testing.T) {
	t.Parallel()
	l, _ := newTestLive(0)
	l.look = func(context.Context) Running { return Running{Unknown: "a\r\rdata: b\n\nevent: c\r\n\r\nid: d"} }
	for line := range strings.Lines(strings.TrimSuffix(string(l.event(t.Context())), "\n")) {
		if !strings.HasPrefix(line, "data: ") || strings.Contains(line, "\r") {
			t.Errorf("%q", line)
		}
	}
}
