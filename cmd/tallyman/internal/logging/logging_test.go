package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tallyman/fetch/redact"
)

// A secret with what JSON and text quote in it.
const secret = `can"ary\of<logs>&7`

type opaque struct{ Password string }

type marshalled struct{}

func (marshalled) MarshalText() ([]byte, error) { return []byte("text " + secret), nil }

// No secret is in a line, in whatever kind of value it is, and each line of JSON is one
// object.
func TestNoSecretIsInALine(t *testing.T) {
	redact.Add(secret)
	for _, format := range []string{Text, JSON} {
		var b bytes.Buffer
		log := New(&b, format, slog.LevelInfo)
		log.With("with", secret, slog.Group("in", "group", secret)).WithGroup("group").Warn("it says "+secret,
			"text", secret, "error", fmt.Errorf("wrapped: %w", errors.New(secret)), "list", []string{"one", secret},
			"struct", opaque{secret}, "pointer", &opaque{secret}, "map", map[string]string{"k": secret}, "marshalled", marshalled{},
			"bytes", []byte(secret), "url", "https://h.example/x?Signature=canary-of-logs", "nil", nil, "number", 7, "long", time.Minute)
		log.Info("second")
		log.Debug("third " + secret)
		for _, piece := range []string{secret, "ary", "canary", "of<logs>"} {
			if strings.Contains(b.String(), piece) {
				t.Errorf("%s: %q is in %s", format, piece, b.String())
			}
		}
		lines := strings.Split(strings.TrimSpace(b.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "it says ***") {
			t.Errorf("%s: %q", format, lines)
		}
		for _, line := range lines {
			if format == JSON && !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %s", line)
			}
		}
	}
}

// Each key has one meaning, and the page has room for all on a terminal.
func TestThePageTellsOfEachKeyOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range append(Keys[:len(Keys):len(Keys)], Messages...) {
		if seen[k.Name] && k.Name != "listed" && k.Name != "failed" || k.Means == "" { // these are keys and what msg says
			t.Errorf("%q is there twice, or means nothing", k.Name)
		}
		seen[k.Name] = true
	}
	for line := range strings.Lines(page()) {
		if utf8.RuneCountInString(line) > 101 {
			t.Errorf("too long: %s", line)
		}
	}
}
