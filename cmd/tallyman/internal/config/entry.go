package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
)

// entrySetting is one setting of the entries of a list.
type entrySetting struct {
	kind    string // the type of flag that its value is like
	set     func(text string) error
	setEach func(key, text string) error // unless nil, for each entry of a value that is a mapping
}

// textSetting is a setting that is a text.
func textSetting(to *string) entrySetting {
	return entrySetting{kind: "string", set: func(text string) error { *to = text; return nil }}
}

// pathSetting is a setting that names a file, in which ~ is the home.
func pathSetting(to *string) entrySetting {
	return entrySetting{kind: "string", set: func(text string) (err error) { *to, err = expandHome(text); return err }}
}

// durationSetting is a setting of a length of time, of at least so much.
func durationSetting(to *time.Duration, least time.Duration) entrySetting {
	return entrySetting{kind: "DURATION", set: func(text string) (err error) {
		if *to, err = flagvalue.ParseDuration(text); err == nil && *to < least {
			err = errors.New("must be at least " + least.String())
		}
		return err
	}}
}

// oneOf is a setting that has one of a few words.
func oneOf[T ~string](words []T, set func(T)) entrySetting {
	var known []string
	for _, word := range words {
		known = append(known, string(word))
	}
	return entrySetting{kind: strings.Join(known, "|"), set: func(text string) error {
		if !slices.Contains(known, text) {
			return fmt.Errorf("%s: must be one of %s%s", text, strings.Join(known, ", "), cli.DidYouMean("", text, known))
		}
		set(T(text))
		return nil
	}}
}

// entries reads a list of mappings, whose keys must be in settings. It calls
// done after it has read all settings of one entry. For errors, what says what
// an entry is, and example how it looks.
func (r *fileReader) entries(node ast.Node, what, example string, settings map[string]entrySetting, done func(entry ast.Node) error) error {
	if r.describe != nil {
		r.describe(what, settings)
		return nil
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return r.errorAt(node, "must be a list of %s", example)
	}
	for _, entry := range list.Values {
		if err := r.entry(entry, what, settings, done); err != nil {
			return err
		}
	}
	return nil
}

// entry reads one mapping, as entries does.
func (r *fileReader) entry(entry ast.Node, what string, settings map[string]entrySetting, done func(entry ast.Node) error) error {
	err := r.forEach(entry, func(key, value ast.Node, name string) error {
		setting, ok := settings[name]
		if !ok {
			names := slices.Sorted(maps.Keys(settings))
			return r.errorAt(key, "%s: there is no such setting of a %s, only %s%s", name, what, strings.Join(names, ", "), cli.DidYouMean("", name, names))
		}
		if _, isMapping := value.(ast.MapNode); isMapping && setting.setEach != nil {
			return r.forEach(value, func(_, value ast.Node, key string) error {
				text, err := r.text(value, setting.kind)
				if err != nil {
					return err
				}
				if err := setting.setEach(key, text); err != nil {
					return r.errorAt(value, "%s: %w", name, err)
				}
				return nil
			})
		}
		text, err := r.textOf(value, setting.kind)
		if err != nil {
			return err
		}
		if err := setting.set(text); err != nil {
			return r.errorAt(value, "%s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return done(entry)
}

// textOf is text, or the texts of a list, with commas between them, where a flag of type
// kind may be given several times.
func (r *fileReader) textOf(node ast.Node, kind string) (string, error) {
	list, ok := node.(*ast.SequenceNode)
	if !ok || kind != "stringSlice" {
		return r.text(node, kind)
	}
	var texts []string
	for _, value := range list.Values {
		text, err := r.text(value, "string")
		if err != nil {
			return "", err
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ","), nil
}
