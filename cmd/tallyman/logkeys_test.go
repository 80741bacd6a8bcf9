package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tallyman/cmd/tallyman/internal/logging"
)

// loggingCalls are the methods of a logger, and how many arguments come before the first key.
var loggingCalls = map[string]int{"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "Log": 3, "With": 0}

// loggedKeys are the keys and messages that the code logs, with the place of each.
func loggedKeys(t *testing.T) (keys, messages map[string]string) {
	t.Helper()
	keys, messages = map[string]string{}, map[string]string{}
	files := token.NewFileSet()
	err := fs.WalkDir(os.DirFS("../.."), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, filepath.Join("../..", path), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		note := func(at map[string]string, e ast.Expr) {
			if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, _ := strconv.Unquote(literal.Value)
				at[text] = files.Position(e.Pos()).String()
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, isCall := n.(*ast.CallExpr)
			if !isCall {
				return true
			}
			method, isMethod := call.Fun.(*ast.SelectorExpr)
			if !isMethod || !isLogger(method.X) {
				return true
			}
			first, logs := loggingCalls[method.Sel.Name]
			if !logs {
				return true
			}
			if first > 0 && len(call.Args) >= first {
				note(messages, call.Args[first-1])
			}
			for i, arg := range call.Args[min(first, len(call.Args)):] {
				if i%2 == 0 {
					note(keys, arg)
				}
			}
			return true
		})
		ast.Inspect(file, func(n ast.Node) bool { // keys that are put together before they are logged
			if !usesLogger(file) {
				return false
			}
			var pairs []ast.Expr
			switch e := n.(type) {
			case *ast.CompositeLit:
				if list, ok := e.Type.(*ast.ArrayType); ok && isAny(list.Elt) {
					pairs = e.Elts
				}
			case *ast.CallExpr:
				if name, ok := e.Fun.(*ast.Ident); ok && name.Name == "append" && len(e.Args)%2 == 1 {
					if list, ok := e.Args[0].(*ast.Ident); ok && (list.Name == "what" || list.Name == "failed") {
						pairs = e.Args[1:]
					}
				}
			}
			for i := 0; i < len(pairs); i += 2 {
				note(keys, pairs[i])
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys, messages
}

// isLogger reports whether an expression is a logger by its name.
func isLogger(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "log"
	case *ast.SelectorExpr:
		return slices.Contains([]string{"log", "Log"}, e.Sel.Name)
	}
	return false
}

func usesLogger(file *ast.File) bool {
	return slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"log/slog"` })
}

func isAny(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "any"
}

// Each key that is logged is in the table of keys, and each that is there is logged, so that
// who reads logs by a program can rely on them. So it is with the messages that the table has.
func TestHelpLogsTellsOfEachKey(t *testing.T) {
	t.Parallel()
	keys, messages := loggedKeys(t)
	known := map[string]bool{"time": true, "level": true, "msg": true}
	for _, k := range logging.Keys {
		if keys[k.Name] == "" && !known[k.Name] {
			t.Errorf("%s is in the table, and is never logged", k.Name)
		}
		known[k.Name] = true
	}
	for key, at := range keys {
		if !known[key] {
			t.Errorf("%s: %q is a key of no meaning: add it to the table", at, key)
		}
	}
	for _, m := range logging.Messages {
		if messages[m.Name] == "" {
			t.Errorf("nothing logs %q", m.Name)
		}
	}
}
