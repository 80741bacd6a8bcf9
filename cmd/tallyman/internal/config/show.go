package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch/redact"
)

// An Origin is where the value of a setting comes from.
type Origin string

// The Origins, the first of which counts most.
const (
	FromFlag        Origin = "flag"
	FromEnvironment Origin = "environment"
	FromFile        Origin = "file"
	FromDefault     Origin = "default"
)

// A Setting is a value that counts, and where it comes from.
type Setting struct {
	Name  string // as in the file; endpoint.sls is that of one provider, places[0] the first of a list
	Value string // without secrets
	From  Origin
	Where string // the flag, the variable, or the file and its line; "" for a default
}

// passwordSet stands for a password.
const passwordSet = "(set, and not shown)"

// Settings returns all settings as they count for a call with these flags, by name: of
// known, and of the file alone. It is called after Complete.
func (o *Options) Settings(flags *pflag.FlagSet, known map[string]*pflag.Flag) (all []Setting, err error) {
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if name == "endpoint" {
			all = append(all, o.endpointSettings()...)
			continue
		}
		s, err := o.settingOf(name, flags.Lookup(name), known[name])
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if os.Getenv("REDIS_PASSWORD") != "" {
		all = append(all, Setting{"redis-password", passwordSet, FromEnvironment, "REDIS_PASSWORD"})
	}
	for _, s := range o.read {
		name, _, _ := strings.Cut(s.Name, ".")
		if _, isStructure := structures()[name]; isStructure || strings.HasSuffix(s.Name, "]") {
			all = append(all, s)
		}
	}
	slices.SortStableFunc(all, func(a, b Setting) int {
		list := func(s Setting) string { name, _, _ := strings.Cut(s.Name, "["); return name }
		return cmp.Compare(list(a), list(b))
	})
	for i := range all {
		all[i].Value = redact.Text(all[i].Value)
	}
	return all, nil
}

// settingOf returns the setting of a flag: own is that of the command, or nil, and known
// that of a command that has it.
func (o *Options) settingOf(name string, own, known *pflag.Flag) (Setting, error) {
	if o.flagged[name] && own != nil {
		return Setting{name, own.Value.String(), FromFlag, "--" + name}, nil
	}
	variables := []string{variable(name)}
	if name == "redis" {
		variables = append(variables, "REDIS_URL")
	}
	for _, variable := range variables {
		text := os.Getenv(variable)
		switch {
		case text == "":
			continue
		case name == "redis": // which may hold a password, as no flag may
			return Setting{name, text, FromEnvironment, variable}, nil
		}
		if err := known.Value.Set(text); err != nil {
			return Setting{}, cli.Usagef("%s: %w", variable, err)
		}
		return Setting{name, known.Value.String(), FromEnvironment, variable}, nil
	}
	for _, s := range slices.Backward(o.read) {
		if s.Name == name {
			return s, nil
		}
	}
	return Setting{name, known.DefValue, FromDefault, ""}, nil
}

// endpointSettings are those of the providers that are called at another endpoint than
// the vendor's.
func (o *Options) endpointSettings() (all []Setting) {
	for _, provider := range o.providers {
		value, ok := o.Endpoints.Value[provider]
		name, env := "endpoint."+provider, variable("endpoint-"+provider)
		if fromFile := slices.IndexFunc(o.read, func(s Setting) bool { return s.Name == name }); fromFile >= 0 && (!ok || value == o.read[fromFile].Value) {
			all = append(all, o.read[fromFile])
			continue
		}
		switch {
		case os.Getenv(env) != "" && (!ok || value == os.Getenv(env)):
			all = append(all, Setting{name, os.Getenv(env), FromEnvironment, env})
		case ok:
			all = append(all, Setting{name, value, FromFlag, "--endpoint"})
		}
	}
	return all
}

// record notes a setting of the file, its entries each by itself.
func (r *fileReader) record(name string, value ast.Node) {
	add := func(name string, node ast.Node) {
		where := fmt.Sprintf("%s:%d", r.name, positionOf(node).Line)
		r.options.read = append(r.options.read, Setting{name, flow(node), FromFile, where})
	}
	_, isStructure := structures()[name]
	list, isList := value.(*ast.SequenceNode)
	mapping, isMapping := value.(ast.MapNode)
	switch {
	case isStructure && isList:
		for i, entry := range list.Values {
			add(fmt.Sprintf("%s[%d]", name, i), entry)
		}
	case (name == "endpoint" || isStructure) && isMapping:
		for entries := mapping.MapRange(); entries.Next(); {
			add(name+"."+entries.Key().GetToken().Value, entries.Value())
		}
	case isList:
		add(name, value)
		last := &r.options.read[len(r.options.read)-1]
		last.Value = strings.Trim(last.Value, "[]")
	default:
		add(name, value)
	}
}

// flow is a value on one line.
func flow(node ast.Node) string {
	var parts []string
	switch n := node.(type) {
	case ast.MapNode:
		for entries := n.MapRange(); entries.Next(); {
			parts = append(parts, entries.Key().GetToken().Value+": "+flow(entries.Value()))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case *ast.SequenceNode:
		for _, value := range n.Values {
			parts = append(parts, flow(value))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return node.GetToken().Value
}
