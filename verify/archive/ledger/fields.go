package ledger

import "bytes"

// The fields of a line that an index needs. They are parts of the line.
type fields struct{ kind, key, side []byte }

// fieldsOf finds them in a line as Append writes it, without reading the rest, and reads
// any other line as JSON. It returns false for what is no line.
func fieldsOf(line []byte) (f fields, ok bool) {
	if f, ok := fastFieldsOf(line); ok {
		return f, true
	}
	l, whole, err := parse(line)
	return fields{[]byte(l.Kind), []byte(l.Key), []byte(l.Side)}, whole && err == nil
}

const (
	beforeSeq = `{"schema":"` + Schema + `","seq":`
	sideAfter = len(`,"side":"0123456789abcdef"`)
	prevAfter = len(`,"prev":""}`) + 64
)

func fastFieldsOf(line []byte) (f fields, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(beforeSeq))
	if !ok || len(rest) < prevAfter {
		return f, false
	}
	for len(rest) > 0 && '0' <= rest[0] && rest[0] <= '9' {
		rest = rest[1:]
	}
	if _, rest, ok = cutString(rest, `,"at":"`); !ok {
		return f, false
	}
	if f.kind, rest, ok = cutString(rest, `,"kind":"`); !ok {
		return f, false
	}
	if _, after, ok := cutString(rest, `,"ref":"`); ok {
		rest = after
	}
	if f.key, _, ok = cutString(rest, `,"key":"`); !ok {
		return f, false
	}
	end := len(line) - prevAfter
	if !bytes.HasPrefix(line[end:], []byte(`,"prev":"`)) {
		return f, false
	}
	if side, ok := bytes.CutPrefix(line[max(0, end-sideAfter):end], []byte(`,"side":"`)); ok {
		f.side = side[:len(side)-1]
	}
	return f, true
}

// cutString cuts a field's name and its value, which has no escapes, from the beginning.
func cutString(b []byte, name string) (value, rest []byte, ok bool) {
	if len(b) < len(name) || string(b[:len(name)]) != name {
		return nil, b, false
	}
	b = b[len(name):]
	end := bytes.IndexByte(b, '"')
	if end < 0 || bytes.IndexByte(b[:end], '\\') >= 0 {
		return nil, b, false
	}
	return b[:end], b[end+1:], true
}
