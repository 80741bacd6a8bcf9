package fetch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const hostileTable = "hostile_test.go"

// testsNamed are the names of tests in the table of threats.
func testsNamed(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(hostileTable)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "\nimport (")
	return regexp.MustCompile(`\b(?:Test|Fuzz)\w+`).FindAllString(head, -1)
}

// testsOf are the tests of the module.
func testsOf(t *testing.T, root string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				all[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEveryTestInTheTableOfThreatsExists(t *testing.T) {
	named, all := testsNamed(t), testsOf(t, "..")
	if len(named) < 100 {
		t.Errorf("the table names %d tests", len(named))
	}
	for _, name := range named {
		if !all[name] {
			t.Errorf("%s names %s, and there is no such test", hostileTable, name)
		}
	}
}
