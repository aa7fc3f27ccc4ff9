package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mayStart lists where goroutines may be started: each owner joins them.
var mayStart = []string{
	"pipeline/", "admin/", "cmd/", "bench/", "internal/testenv/", "internal/proof/",
	"sink/kafka/", "sink/file/", "sink/redis/", "sink/terminal/", "sink/sinktest/", "source/mysql/",
}

func TestGoroutinesHaveAnOwner(t *testing.T) {
	eachFile(t, func(path string, f *ast.File, fset *token.FileSet) {
		if strings.HasSuffix(path, "_test.go") || hasPrefix(path, mayStart) {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s: goroutines start only in %s", fset.Position(g.Pos()), strings.Join(mayStart, " "))
			}
			return true
		})
	})
}

func TestEveryPackageTellsWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	eachFile(t, func(path string, f *ast.File, _ *token.FileSet) {
		dir := filepath.Dir(path)
		if !strings.HasSuffix(path, "_test.go") {
			documented[dir] = documented[dir] || f.Doc != nil
		}
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package in %s has no package comment: say what it owns and what it refuses in doc.go", dir)
		}
	}
}

func TestNoLeftovers(t *testing.T) {
	marks := []string{"TO" + "DO", "FIX" + "ME", "X" + "XX"}
	eachFile(t, func(path string, f *ast.File, fset *token.FileSet) {
		for _, g := range f.Comments {
			for _, m := range marks {
				if strings.Contains(g.Text(), m) {
					t.Errorf("%s: %s: finish it or file an issue", fset.Position(g.Pos()), m)
				}
			}
		}
	})
}

func eachFile(t *testing.T, fn func(path string, f *ast.File, fset *token.FileSet)) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		fn(filepath.ToSlash(rel), f, fset)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
