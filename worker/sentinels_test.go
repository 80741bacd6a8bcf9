package worker

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// handled are the sentinels that need no row: callers handle ErrLanded, a
// SlowError always wraps ErrTemporary in the error that holds it, ErrProxyAway wraps
// ErrUnreachable, a PlaceError refuses what is no reference to fetch, verify alone
// handles ErrNewer, Testify makes a testimony of ErrNotCountable, and two are
// another's in fetch.
var handled = map[string]bool{
	"archive.ErrLanded": true, "fetch.SlowError": true, "fetch.ErrProxyAway": true, "fetch.PlaceError": true,
	"archive.ErrChanged": true, "hostguard.ErrProxy": true, "archive.ErrNewer": true, "fetch.ErrNotCountable": true,
}

func TestEverySentinelHasARow(t *testing.T) {
	rows := selectors(t, "outcome.go")
	for name, dir := range map[string]string{"fetch": "../fetch", "hostguard": "../fetch/hostguard", "verify": "../verify", "archive": "../verify/archive"} {
		for _, sentinel := range sentinels(t, dir) {
			if full := name + "." + sentinel; !rows[full] && !handled[full] {
				t.Errorf("the table of outcomes has no row for %s", full)
			}
		}
	}
}

// selectors returns the names of other packages that a file uses.
func selectors(t *testing.T, path string) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(parse(t, path), func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := selector.X.(*ast.Ident); ok {
				names[pkg.Name+"."+selector.Sel.Name] = true
			}
		}
		return true
	})
	return names
}

// sentinels returns the exported errors of a package: variables, and error types
// that wrap no other error.
func sentinels(t *testing.T, dir string) []string {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no Go files in %s: %v", dir, err)
	}
	var names []string
	methods := map[string]map[string]bool{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file := parse(t, path)
		for _, declaration := range file.Decls {
			switch d := declaration.(type) {
			case *ast.GenDecl:
				names = append(names, errorVariables(d)...)
			case *ast.FuncDecl:
				addMethod(methods, d)
			}
		}
	}
	for name, has := range methods {
		if ast.IsExported(name) && has["Error"] && !has["Unwrap"] && !has["Is"] {
			names = append(names, name)
		}
	}
	return names
}

func errorVariables(d *ast.GenDecl) (names []string) {
	for _, spec := range d.Specs {
		if values, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR {
			for _, name := range values.Names {
				if strings.HasPrefix(name.Name, "Err") {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

func addMethod(methods map[string]map[string]bool, d *ast.FuncDecl) {
	if d.Recv == nil {
		return
	}
	receiver := d.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	if name, ok := receiver.(*ast.Ident); ok {
		if methods[name.Name] == nil {
			methods[name.Name] = map[string]bool{}
		}
		methods[name.Name][d.Name.Name] = true
	}
}

func parse(t *testing.T, path string) *ast.File {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}
