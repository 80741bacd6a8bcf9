package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// fromFile takes the configuration file for flags that were neither given nor
// in the environment. Its keys are the names of the flags, of this command or
// of any, places and schedule. What is wrong with it is a usageError that names the line
// and the column, whether this command minds the key or not.
func (o *options) fromFile(cmd *cobra.Command) error {
	name := o.config
	if !cmd.Flags().Changed("config") {
		name = defaultConfig()
	}
	if name == "" {
		return nil
	}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !cmd.Flags().Changed("config") {
		return nil
	}
	if err != nil {
		return usagef("--config: %w", err)
	}
	c := &config{name: name, o: o, flags: cmd.Flags(), known: allFlags()}
	return c.read(text)
}

// defaultConfig is where the file is by custom, or "" if nobody is at home.
func defaultConfig() string {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if home := os.Getenv("HOME"); !filepath.IsAbs(dir) && home != "" {
		dir = filepath.Join(home, ".config")
	}
	if !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, "tallyman", "config.yaml")
}

// allFlags are those of every command, whose values are nobody's. Those that
// say what one call is to do are not among them.
func allFlags() map[string]*pflag.Flag {
	flags := map[string]*pflag.Flag{}
	root := newRoot()
	for _, cmd := range append(root.Commands(), root) {
		add := func(f *pflag.Flag) { flags[f.Name] = f }
		cmd.Flags().VisitAll(add)
		cmd.PersistentFlags().VisitAll(add)
	}
	for _, name := range []string{"config", "file", "help", "version"} {
		delete(flags, name)
	}
	return flags
}

// A config is a configuration file being read.
type config struct {
	name  string
	o     *options
	flags *pflag.FlagSet         // to set
	known map[string]*pflag.Flag // to try values on
}

func (c *config) bad(node ast.Node, format string, args ...any) error {
	at := first(node).GetToken().Position
	return usagef("%s:%d:%d: %w", c.name, at.Line, at.Column, fmt.Errorf(format, args...))
}

// first is the first key of a mapping, which tells of itself that it is where a
// colon is; or the node itself.
func first(node ast.Node) ast.Node {
	if mapping, ok := node.(ast.MapNode); ok {
		if entries := mapping.MapRange(); entries.Next() {
			return entries.Key()
		}
	}
	return node
}

func (c *config) read(text []byte) error {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return c.unreadable(err)
	}
	for i, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if i > 0 {
			return c.bad(doc.Body, "want one document")
		}
		if err := c.each(doc.Body, c.setting); err != nil {
			return err
		}
	}
	return nil
}

// unreadable is the error of a file that is no YAML. The parser's own quotes
// the text around it.
func (c *config) unreadable(err error) error {
	if at, ok := errors.AsType[yaml.Error](err); ok && at.GetToken() != nil {
		position := at.GetToken().Position
		return usagef("%s:%d:%d: %s", c.name, position.Line, position.Column, at.GetMessage())
	}
	return usagef("%s: it is not YAML", c.name)
}

// each calls do for each key of a mapping. Keys that are for a secret are
// refused wherever they stand.
func (c *config) each(node ast.Node, do func(key, value ast.Node, name string) error) error {
	mapping, ok := node.(ast.MapNode)
	if !ok {
		return c.bad(node, "want KEY: VALUE")
	}
	for entries := mapping.MapRange(); entries.Next(); {
		key := entries.Key()
		name := key.GetToken().Value
		if secretName.MatchString(name) && !strings.HasSuffix(name, "-file") {
			return c.bad(key, "%s: a secret has no place in this file: keep it in a profile of ~/.aliyun/config.json, "+
				"as `aliyun configure` makes it, or of ~/.huaweicloud/credentials, or in ALIBABA_CLOUD_ACCESS_KEY_ID and "+
				"ALIBABA_CLOUD_ACCESS_KEY_SECRET, or HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK; places: names a profile", name)
		}
		if err := do(key, entries.Value(), name); err != nil {
			return err
		}
	}
	return nil
}

var secretName = regexp.MustCompile(`(?i)secret|passw|credential|access[-_ ]?key|api[-_ ]?key|private[-_ ]?key|token|^(ak|sk|pwd)$`)

func (c *config) setting(key, value ast.Node, name string) error {
	switch {
	case name == "places":
		return c.places(value)
	case name == "schedule":
		return c.schedule(value)
	case c.known[name] == nil:
		return c.bad(key, "%s: there is no such setting", name)
	case name == "endpoint":
		return c.endpoints(value)
	}
	texts, err := c.texts(value, c.known[name].Value.Type())
	if err != nil {
		return err
	}
	given := c.flags.Changed(name)
	for _, text := range texts {
		if err := c.known[name].Value.Set(text); err != nil {
			return c.bad(value, "%s: %w", name, err)
		}
		if c.flags.Lookup(name) != nil && !given {
			_ = c.flags.Set(name, text) // as it was tried
		}
	}
	return nil
}

// texts are the values of a flag of that type, which only a list may have many
// of.
func (c *config) texts(node ast.Node, kind string) ([]string, error) {
	if list, ok := node.(*ast.SequenceNode); ok && kind == "stringSlice" {
		var texts []string
		for _, value := range list.Values {
			text, err := c.text(value, "string")
			if err != nil {
				return nil, err
			}
			texts = append(texts, text)
		}
		return texts, nil
	}
	text, err := c.text(node, kind)
	return []string{text}, err
}

// scalars are the types of YAML that a flag may have its value in, where they
// are not strings alone.
var scalars = map[string]struct {
	types []ast.NodeType
	want  string
}{
	"bool":     {[]ast.NodeType{ast.BoolType}, "true or false"},
	"int":      {[]ast.NodeType{ast.IntegerType}, "a number"},
	"float64":  {[]ast.NodeType{ast.IntegerType, ast.FloatType}, "a number"},
	"SIZE":     {[]ast.NodeType{ast.StringType, ast.IntegerType}, "a size like 4MiB"},
	"DURATION": {[]ast.NodeType{ast.StringType, ast.IntegerType}, "a duration like 90s"},
}

func (c *config) text(node ast.Node, kind string) (string, error) {
	may, ok := scalars[kind]
	if !ok {
		may.types, may.want = []ast.NodeType{ast.StringType}, "text, in quotes if it looks like something else"
	}
	if !slices.Contains(may.types, node.Type()) {
		return "", c.bad(node, "want %s", may.want)
	}
	return node.GetToken().Value, nil
}

func (c *config) endpoints(node ast.Node) error {
	return c.each(node, func(_, value ast.Node, name string) error {
		address, err := c.text(value, "string")
		if err != nil {
			return err
		}
		if err := c.known["endpoint"].Value.Set(name + "=" + address); err != nil {
			return c.bad(value, "endpoint: %w", err)
		}
		if c.o.endpoints.URL(name) == "" {
			return c.o.endpoints.Set(name + "=" + address)
		}
		return nil
	})
}

func (c *config) places(node ast.Node) error {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return c.bad(node, "want a list of {match: sls://REGION/PROJECT/, profile: NAME}")
	}
	for _, value := range list.Values {
		var p place
		fields := map[string]*string{"match": &p.Match, "profile": &p.Profile}
		err := c.each(value, func(key, value ast.Node, name string) (err error) {
			if fields[name] == nil {
				return c.bad(key, "%s: there is no such setting of a place, only match and profile", name)
			}
			*fields[name], err = c.text(value, "string")
			return err
		})
		if err != nil {
			return err
		}
		if scheme, _, ok := strings.Cut(p.Match, "://"); !ok || !slices.Contains(providerNames, scheme) || p.Profile == "" {
			return c.bad(value, "want a match like sls://REGION/PROJECT/, and the profile for what begins with it")
		}
		if slices.ContainsFunc(c.o.places, func(q place) bool { return q.Match == p.Match }) {
			return c.bad(value, "%s has a profile already", p.Match)
		}
		c.o.places = append(c.o.places, p)
	}
	return nil
}
