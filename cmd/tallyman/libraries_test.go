package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Libraries are used by other programs too, so they can't know the flags and
// commands of this one.
func TestNoLibraryNamesFlagsOrCommands(t *testing.T) {
	t.Parallel()
	var commands []string
	for _, cmd := range newRoot(io.Discard).Commands() {
		commands = append(commands, cmd.Name())
	}
	named := regexp.MustCompile(`(^|[^-\w])--[a-z]|\btallyman (` + strings.Join(commands, "|") + `)\b`)
	seen := 0
	for _, dir := range []string{"../../fetch", "../../worker", "../../verify"} {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/fetchtest/") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				if text, ok := node.(*ast.BasicLit); ok && text.Kind == token.STRING {
					seen++
					if named.MatchString(text.Value) && !strings.Contains(text.Value, "`aliyun configure") {
						t.Errorf("%s names a flag or a command: %s", path, text.Value)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 100 {
		t.Errorf("there are only %d strings", seen)
	}
}
