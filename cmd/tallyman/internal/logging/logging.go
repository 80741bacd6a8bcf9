// Package logging makes the logs of the program: lines of text or of JSON with keys that
// mean one thing each ([Keys]), and without secrets.
package logging

import (
	"encoding"
	"fmt"
	"io"
	"log/slog"

	"tallyman/fetch/redact"
)

// The formats of lines.
const (
	Text = "text" // key=value pairs
	JSON = "json" // one object a line
)

// New returns a logger that writes to w, in a format, what is as grave as level or more.
func New(w io.Writer, format string, level slog.Level) *slog.Logger {
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: hideSecrets}
	if format == JSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// hideSecrets removes secrets from a value before it is quoted, which would hide them from
// whoever looks for them later. What is neither a number, a time nor a truth becomes a text.
func hideSecrets(_ []string, attr slog.Attr) slog.Attr {
	switch attr.Value.Kind() {
	case slog.KindString:
		attr.Value = slog.StringValue(redact.Text(attr.Value.String()))
	case slog.KindAny:
		attr.Value = withoutSecrets(attr.Value.Any())
	}
	return attr
}

func withoutSecrets(value any) slog.Value {
	switch v := value.(type) {
	case nil, slog.Level:
		return slog.AnyValue(v)
	case []string:
		texts := make([]string, len(v))
		for i, text := range v {
			texts[i] = redact.Text(text)
		}
		return slog.AnyValue(texts)
	case error:
		return slog.StringValue(redact.Text(v.Error()))
	case encoding.TextMarshaler:
		if text, err := v.MarshalText(); err == nil {
			return slog.StringValue(redact.Text(string(text)))
		}
	}
	return slog.StringValue(redact.Text(fmt.Sprintf("%+v", value)))
}
