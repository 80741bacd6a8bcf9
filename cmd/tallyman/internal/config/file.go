package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/spf13/pflag"

	"tallyman/cmd/tallyman/internal/cli"
)

// readFile sets the flags that are not set yet from the configuration file: that
// of --config, or the one at the place that convention gives, if it exists. Its
// keys are names in known and of structures. Every key is checked, even if
// this command has no such flag. What is wrong is a UsageError that begins with
// the file, the line and the column.
func (o *Options) readFile(flags *pflag.FlagSet, known func() map[string]*pflag.Flag) error {
	name := o.File
	if !flags.Changed("config") {
		dir := os.Getenv("XDG_CONFIG_HOME")
		if home := os.Getenv("HOME"); !filepath.IsAbs(dir) && home != "" {
			dir = filepath.Join(home, ".config")
		}
		name = ""
		if filepath.IsAbs(dir) {
			name = filepath.Join(dir, "tallyman", "config.yaml")
		}
	}
	if name == "" {
		return nil
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !flags.Changed("config") {
		return nil
	}
	if err != nil {
		return cli.Usagef("--config: %w", err)
	}
	o.Read = name
	r := &fileReader{name: name, options: o, flags: flags, known: known(), given: maps.Clone(o.Endpoints.Value)}
	return r.read(text)
}

// fileReader reads a configuration file. It works on the syntax tree: a decoder
// would take a number, a null or an alias for text, and it could not say where
// the value of a flag is wrong.
type fileReader struct {
	name    string
	options *Options
	flags   *pflag.FlagSet         // to set
	known   map[string]*pflag.Flag // to try values out on
	given   map[string]string      // endpoints that count before those of the file

	describe func(what string, settings map[string]entrySetting) // unless nil, is told of the entries of a list in place of reading them
}

// A structure is a setting of the file alone, which no flag can hold.
type structure struct {
	read func(*fileReader, ast.Node) error
	help string
}

// structures are those settings by name.
func structures() map[string]structure {
	return map[string]structure{
		"places":   {(*fileReader).places, "the profile, the endpoint and the bucket of DBS for the references that each match has, and whether their source is asked for its own count"},
		"schedule": {(*fileReader).schedule, "the places that a worker looks for new jobs in, and when"},
		"expect":   {(*fileReader).expect, "how often something is to land in a place, or which log stores are to be covered without gaps"},
		"notify":   {(*fileReader).notify, "whom a worker tells of what happens in the archive, by which service, and of what"},
		"recheck":  {(*fileReader).recheck, "within which time a worker rechecks all that has landed, bit by bit"},
		"ensure":   {(*fileReader).ensure, "the windows of log stores that a worker has exported, if they lack, and how often it looks"},
		"hold":     {(*fileReader).hold, "the places, or globs of them, of which forget --delete deletes nothing"},
	}
}

// positionOf returns where a node begins. The position of a mapping by itself is its first
// colon.
func positionOf(node ast.Node) *token.Position {
	if mapping, ok := node.(ast.MapNode); ok {
		if entries := mapping.MapRange(); entries.Next() {
			node = entries.Key()
		}
	}
	return node.GetToken().Position
}

// errorAt returns a UsageError that says where node is.
func (r *fileReader) errorAt(node ast.Node, format string, args ...any) error {
	at := positionOf(node)
	return cli.Usagef("%s:%d:%d: %w", r.name, at.Line, at.Column, fmt.Errorf(format, args...))
}

func (r *fileReader) read(text []byte) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		// The text of the error quotes the file, which may hold a secret.
		if syntax, ok := errors.AsType[yaml.Error](err); ok && syntax.GetToken() != nil {
			at := syntax.GetToken().Position
			return cli.Usagef("%s:%d:%d: %s", r.name, at.Line, at.Column, syntax.GetMessage())
		}
		return cli.Usagef("%s: it is not YAML", r.name)
	}
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			return r.errorAt(doc.Body, "the file must be one document")
		}
		if err := r.forEach(doc.Body, r.setting); err != nil {
			return err
		}
	}
	return nil
}

// secretName matches keys under which somebody may keep a secret.
var secretName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)secret|passw|credential|access[-_ ]?key|api[-_ ]?key|private[-_ ]?key|token|^(ak|sk|pwd)$`)
})

// forEach calls do for each key of a mapping. It refuses keys of secrets.
func (r *fileReader) forEach(node ast.Node, do func(key, value ast.Node, name string) error) error {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		return r.errorAt(node, "must be KEY: VALUE")
	}
	for entries := mapping.MapRange(); entries.Next(); {
		key := entries.Key()
		name := key.GetToken().Value
		if secretName().MatchString(name) && !strings.HasSuffix(name, "-file") && !strings.HasSuffix(name, "-env") {
			return r.errorAt(key, "%s: a secret must not be in this file: keep it in a profile of ~/.aliyun/config.json, "+
				"as `aliyun configure` makes it, or of ~/.huaweicloud/credentials, or in ALIBABA_CLOUD_ACCESS_KEY_ID and "+
				"ALIBABA_CLOUD_ACCESS_KEY_SECRET, or HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK; places: can name the profile", name)
		}
		if err := do(key, entries.Value(), name); err != nil {
			return err
		}
	}
	return nil
}

func (r *fileReader) setting(key, value ast.Node, name string) error {
	own, isOwn := structures()[name]
	if r.record(name, value); isOwn {
		return own.read(r, value)
	}
	switch {
	case r.known[name] == nil:
		names := append(slices.Sorted(maps.Keys(r.known)), slices.Sorted(maps.Keys(structures()))...)
		return r.errorAt(key, "%s: there is no such setting%s", name, cli.DidYouMean("", name, names))
	case name == "endpoint":
		return r.endpoints(value)
	}
	values, kind := []ast.Node{value}, r.known[name].Value.Type()
	if list, ok := value.(*ast.SequenceNode); ok && kind == "stringSlice" {
		values, kind = list.Values, "string"
	}
	flag := lookup(r.flags, name)
	given := flag != nil && flag.Changed
	for _, value := range values {
		text, err := r.text(value, kind)
		if err == nil && r.options.paths()[name] != nil {
			if text, err = expandHome(text); err != nil {
				return r.errorAt(value, "%w", err)
			}
		}
		if err != nil {
			return err
		}
		if err := r.known[name].Value.Set(text); err != nil {
			return r.errorAt(value, "%s: %w", name, err)
		}
		if flag != nil && !given {
			_ = r.flags.Set(flag.Name, text) // which succeeds, as it just has
		}
	}
	return nil
}

// paths are the settings in which ~ is the home.
func (o *Options) paths() map[string]*string {
	return map[string]*string{
		"archive": &o.Archive, "cache-dir": &o.CacheDir, "config": &o.File, "file": &o.References,
		"redis-ca": &o.RedisCA, "redis-cert": &o.RedisCert, "redis-key": &o.RedisKey, "redis-password-file": &o.RedisPasswordFile,
		"page-token-file": &o.PageTokenFile, "page-tls-cert": &o.PageCert, "page-tls-key": &o.PageKey, "page-client-ca": &o.PageClientCA,
	}
}

// expandHome does what a shell does to an argument that begins with ~, but not to the
// end of --archive=~/archive, nor to the environment.
func expandHome(path string) (string, error) {
	rest, ok := strings.CutPrefix(path, "~")
	switch {
	case !ok:
		return path, nil
	case rest != "" && rest[0] != '/':
		return "", fmt.Errorf("%s: only ~/ is known, the home of who runs the command; ./~ is a file of that name", path)
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return home + rest, nil
}

// scalars has the types of YAML that a flag of each type takes. Flags of other
// types take text alone.
var scalars = map[string]struct {
	types []ast.NodeType
	must  string
}{
	"bool":     {[]ast.NodeType{ast.BoolType}, "true or false"},
	"int":      {[]ast.NodeType{ast.IntegerType}, "a number"},
	"float64":  {[]ast.NodeType{ast.IntegerType, ast.FloatType}, "a number"},
	"SIZE":     {[]ast.NodeType{ast.StringType, ast.IntegerType}, "a size like 4MiB"},
	"DURATION": {[]ast.NodeType{ast.StringType, ast.IntegerType}, "a duration like 90s"},
}

// text returns the text of a value for a flag of type kind.
func (r *fileReader) text(node ast.Node, kind string) (string, error) {
	scalar, ok := scalars[kind]
	if !ok {
		scalar.types, scalar.must = []ast.NodeType{ast.StringType}, "text, in quotes if it looks like something else"
	}
	if !slices.Contains(scalar.types, node.Type()) {
		return "", r.errorAt(node, "must be %s", scalar.must)
	}
	return node.GetToken().Value, nil
}

func (r *fileReader) endpoints(node ast.Node) error {
	return r.forEach(node, func(_, value ast.Node, provider string) error {
		address, err := r.text(value, "string")
		if err != nil {
			return err
		}
		text := provider + "=" + address
		if err := r.known["endpoint"].Value.Set(text); err != nil {
			return r.errorAt(value, "endpoint: %w", err)
		}
		if r.options.Endpoints.Value[provider] != "" {
			return nil
		}
		return r.options.Endpoints.Set(text)
	})
}
