package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// schemas are the types of what the page tells of, by schema: the directory of the
// package below the module, and the type.
var schemas = map[string]string{
	"tallyman.accepted/v1": "cmd/tallyman acceptedLine", "tallyman.removed/v1": "cmd/tallyman removedLine", "tallyman.place/v1": "cmd/tallyman placeLine",
	"tallyman.archive/v1": "verify/archive identity", "tallyman.cancelled/v1": "cmd/tallyman/internal/cli cancelledLine",
	"tallyman.check/v1": "cmd/tallyman/internal/doctor Finding", "tallyman.content/v1": "cmd/tallyman contentLine", "tallyman.coverage/v1": "cmd/tallyman coverageLine", "tallyman.counts/v1": "cmd/tallyman countsLine", "tallyman.ensure/v1": "cmd/tallyman ensureLine", "tallyman.export/v1": "cmd/tallyman exportLine",
	"tallyman.failed/v1": "cmd/tallyman/internal/cli failedLine", "tallyman.init/v1": "cmd/tallyman initLine",
	"tallyman.health/v1": "cmd/tallyman healthLine",
	"tallyman.landed/v1": "cmd/tallyman/internal/cli landedLine", "tallyman.ledger/v1": "verify/archive/ledger Line",
	"tallyman.message/v1": "cmd/tallyman/internal/notify Message", "tallyman.notified/v1": "cmd/tallyman notifiedLine",
	"tallyman.listed/v1": "cmd/tallyman listedLine", "tallyman.planned/v1": "cmd/tallyman planLine", "tallyman.queued/v1": "cmd/tallyman queuedLine",
	"tallyman.receipt/v1": "verify/archive Receipt", "tallyman.recheck/v1": "cmd/tallyman recheckLine",
	"tallyman.repair/v1": "cmd/tallyman/internal/cli repairLine", "tallyman.requeued/v1": "cmd/tallyman requeuedLine",
	"tallyman.setting/v1": "cmd/tallyman settingLine", "tallyman.status/v1": "cmd/tallyman statusLine", "tallyman.usage/v1": "cmd/tallyman usageLine", "tallyman.version/v1": "cmd/tallyman versionLine", "tallyman.witness/v1": "cmd/tallyman witnessLine",
}

// unlisted are schemas that are nobody's but the program's own.
var unlisted = []string{"tallyman.state/v1"}

// A declared type is one of the module's.
type declaredType struct {
	dir  string
	file *ast.File
	expr ast.Expr
}

// declaredTypes are all types of the module, by directory and name, and all schemas that
// are named in the code.
func declaredTypes(t *testing.T) (types map[string]declaredType, named []string) {
	t.Helper()
	types = map[string]declaredType{}
	schema := regexp.MustCompile(`"tallyman\.[a-z]+/v[0-9]+"`)
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			return err
		}
		for _, name := range schema.FindAllString(string(text), -1) {
			named = append(named, strings.Trim(name, `"`))
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				for _, spec := range g.Specs {
					s := spec.(*ast.TypeSpec)
					types[filepath.Dir(path)+" "+s.Name.Name] = declaredType{filepath.Dir(path), file, s.Type}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(named)
	return types, slices.Compact(named)
}

// A schemaReader makes the lines of the page of a type: its fields as JSON has them, and
// what each is.
type schemaReader struct {
	types map[string]declaredType
	lines []string
}

// add adds the fields of a struct, each behind a prefix.
func (r *schemaReader) add(in declaredType, prefix string) {
	for _, field := range in.expr.(*ast.StructType).Fields.List {
		if field.Tag == nil {
			continue
		}
		text, _ := strconv.Unquote(field.Tag.Value)
		name, options, _ := strings.Cut(reflect.StructTag(text).Get("json"), ",")
		if name == "-" {
			continue
		}
		kind, of := r.kind(in, field.Type)
		if strings.Contains(options, "omit") {
			name += "?"
		}
		r.lines = append(r.lines, prefix+name+" "+kind)
		if of != nil && strings.Count(prefix, ".") < 3 {
			r.add(*of, prefix+strings.TrimSuffix(name, "?")+".")
		}
	}
}

// kind says what a type is in JSON, and which fields are in it, unless a schema of its own
// tells.
func (r *schemaReader) kind(in declaredType, expr ast.Expr) (kind string, of *declaredType) {
	switch e := expr.(type) {
	case *ast.StarExpr:
		return r.kind(in, e.X)
	case *ast.ArrayType:
		kind, of = r.kind(in, e.Elt)
		return kind + " list", of
	case *ast.MapType:
		kind, _ = r.kind(in, e.Value)
		return kind + " by name", nil
	case *ast.SelectorExpr:
		pkg := e.X.(*ast.Ident).Name
		switch name := pkg + "." + e.Sel.Name; name {
		case "time.Time":
			return "time", nil
		case "json.RawMessage":
			return "any", nil
		}
		for _, imported := range in.file.Imports {
			path, _ := strconv.Unquote(imported.Path.Value)
			if dir, ok := strings.CutPrefix(path, module+"/"); ok && filepath.Base(dir) == pkg {
				return r.declared(dir + " " + e.Sel.Name)
			}
		}
	case *ast.Ident:
		switch e.Name {
		case "string":
			return "text", nil
		case "int", "int64", "float64":
			return "number", nil
		case "bool":
			return "boolean", nil
		case "any":
			return "any", nil
		}
		return r.declared(in.dir + " " + e.Name)
	}
	return "?", nil
}

func (r *schemaReader) declared(name string) (string, *declaredType) {
	for schema, of := range schemas {
		if of == name {
			return schema, nil
		}
	}
	in := r.types[name]
	if _, ok := in.expr.(*ast.StructType); ok {
		return "object", &in
	}
	return r.kind(in, in.expr)
}

// The page tells of each field of each schema in the code, with its kind, in the same
// order, and of no other.
func TestHelpJSONTellsOfEachField(t *testing.T) {
	t.Parallel()
	types, named := declaredTypes(t)
	var want bytes.Buffer
	for _, schema := range named {
		if slices.Contains(unlisted, schema) {
			continue
		}
		in, ok := types[schemas[schema]]
		if !ok {
			t.Errorf("%s is of no type that this test knows", schema)
			continue
		}
		fmt.Fprintln(&want, schema)
		r := schemaReader{types: types}
		r.add(in, "")
		for _, line := range r.lines {
			fmt.Fprintln(&want, " ", line)
		}
	}
	for line := range strings.Lines(jsonPage) {
		if columns := utf8.RuneCountInString(line); columns > 101 {
			t.Errorf("a line has %d columns: %s", columns, line)
		}
	}
	if diff := cmp.Diff(strings.Split(want.String(), "\n"), strings.Split(toldSchemas(), "\n")); diff != "" {
		t.Error(diff)
	}
}

// toldSchemas is what the page tells, without what it says of it.
func toldSchemas() string {
	field := regexp.MustCompile(`^  ([a-z0-9_.?]+)  +((?:text|number|time|boolean|any|object|tallyman\.\S+)(?: list)?(?: by name)?)(  |$)`)
	var told strings.Builder
	for line := range strings.Lines(jsonPage) {
		if strings.HasPrefix(line, "tallyman.") {
			fmt.Fprintln(&told, strings.Fields(line)[0])
		} else if m := field.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			fmt.Fprintln(&told, " ", m[1], m[2])
		}
	}
	return told.String()
}
