package lint

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// snake is a name of several words, as codes of errors have.
var snake = regexp.MustCompile(`^[a-z]+(_[a-z0-9]+)+$`)

// TestOperationsPageHoldsEveryName: docs/operations.md names every error code
// and metric of the source, and none that is not there.
func TestOperationsPageHoldsEveryName(t *testing.T) {
	codes, metrics, literals := namesInSource(t)
	page := readText(t, "docs/operations.md")
	for _, names := range []map[string]string{codes, metrics} {
		for name, at := range names {
			if !strings.Contains(page, "`"+name+"`") {
				t.Errorf("%s: docs/operations.md does not tell of `%s`", at, name)
			}
		}
	}
	for _, row := range strings.Split(page, "\n") {
		cell, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		if !strings.HasPrefix(row, "| `") {
			continue
		}
		for _, m := range regexp.MustCompile("`([a-z0-9_]+)`").FindAllStringSubmatch(cell, -1) {
			if !literals[m[1]] {
				t.Errorf("docs/operations.md tells of `%s`, which is nowhere in the source", m[1])
			}
		}
	}
}

// TestOperationsPageHoldsExitCodes compares the page's table with the constants.
func TestOperationsPageHoldsExitCodes(t *testing.T) {
	page := readText(t, "docs/operations.md")
	eachFile(t, func(path string, f *ast.File, _ *token.FileSet) {
		if path != "cmd/cdcd/errors.go" {
			return
		}
		eachConst(f, func(name, value string) {
			if strings.HasPrefix(name, "exit") && !strings.Contains(page, "\n| "+value+" | ") {
				t.Errorf("docs/operations.md does not tell of exit code %s (%s)", value, name)
			}
		})
	})
}

// TestContributingListsRequirements: the table in CONTRIBUTING.md is go.mod's
// direct requirements and tools.
func TestContributingListsRequirements(t *testing.T) {
	page, mod := readText(t, "CONTRIBUTING.md"), readText(t, "go.mod")
	listed := map[string]bool{}
	_, table, _ := strings.Cut(page, "| module | reason |")
	for _, m := range regexp.MustCompile(`(?m)^\| (\S+) \|`).FindAllStringSubmatch(table, -1) {
		listed[m[1]] = true
	}
	delete(listed, "---")
	required := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(mod, -1)
	tools := regexp.MustCompile(`(?m)^tool (\S+)$`).FindAllStringSubmatch(mod, -1)
	for _, m := range append(required, tools...) {
		name, found := strings.TrimPrefix(m[1], "github.com/"), false
		for l := range listed {
			if name == l || strings.HasPrefix(name, l+"/") {
				found = true
				delete(listed, l)
			}
		}
		if !found {
			t.Errorf("CONTRIBUTING.md does not say why go.mod requires %s", name)
		}
	}
	for l := range listed {
		t.Errorf("CONTRIBUTING.md lists %s, which go.mod does not require directly", l)
	}
}

// namesInSource finds the codes of errors and the metrics, each with a place,
// and every literal there is.
func namesInSource(t *testing.T) (codes, metrics map[string]string, literals map[string]bool) {
	codes, metrics, literals = map[string]string{}, map[string]string{}, map[string]bool{}
	makers := codeParameters(t)
	eachFile(t, func(path string, f *ast.File, fset *token.FileSet) {
		unseen := hasPrefix(path, []string{"bench/", "internal/"}) && !hasPrefix(path, []string{"internal/verify/"})
		if unseen || strings.HasSuffix(path, "_test.go") {
			return
		}
		code := func(e ast.Expr) {
			if s, ok := text(e); ok && s != "" {
				codes[s] = fset.Position(e.Pos()).String()
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := text(n); ok {
				literals[s] = true
				if strings.HasPrefix(s, "cdcd_") && snake.MatchString(s) {
					metrics[s] = fset.Position(n.Pos()).String()
				}
				if strings.HasSuffix(path, "/errors.go") && snake.MatchString(s) {
					code(n.(ast.Expr)) // tables of what servers answer
				}
			}
			return codesIn(n, makers, code)
		})
	})
	return codes, metrics, literals
}

// codesIn gives the expressions of a node that are codes of errors. Findings of
// a doctor come with their fix and need no page.
func codesIn(n ast.Node, makers map[string]int, code func(ast.Expr)) (deeper bool) {
	switch n := n.(type) {
	case *ast.CallExpr:
		name := nameOf(n.Fun)
		if i, ok := makers[name[strings.LastIndex(name, ".")+1:]]; ok && i < len(n.Args) {
			if s, ok := text(n.Args[i]); ok && snake.MatchString(s) {
				code(n.Args[i])
			}
		}
	case *ast.CompositeLit:
		if strings.HasSuffix(nameOf(n.Type), "Finding") {
			return false
		}
		if list, ok := n.Type.(*ast.ArrayType); ok && strings.HasSuffix(nameOf(list.Elt), "Finding") {
			return false
		}
	case *ast.KeyValueExpr:
		if key := nameOf(n.Key); key == "Code" || key == "code" {
			code(n.Value)
		}
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if strings.HasPrefix(strings.ToLower(name.Name), "code") && i < len(n.Values) {
				code(n.Values[i])
			}
		}
	}
	return true
}

// codeParameters finds the functions that make an error of a parameter named
// code, and which one that is.
func codeParameters(t *testing.T) map[string]int {
	makers := map[string]int{}
	note := func(name string, f *ast.FuncType) {
		if f.Results == nil {
			return
		}
		i := 0
		for _, p := range f.Params.List {
			for _, n := range p.Names {
				if n.Name == "code" {
					makers[name] = i
				}
				i++
			}
		}
	}
	eachFile(t, func(_ string, f *ast.File, _ *token.FileSet) {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				note(n.Name.Name, n.Type)
			case *ast.AssignStmt:
				if lit, ok := n.Rhs[0].(*ast.FuncLit); ok {
					note(nameOf(n.Lhs[0]), lit.Type)
				}
			}
			return true
		})
	})
	return makers
}

func eachConst(f *ast.File, visit func(name, value string)) {
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
			if lit, ok := v.Values[0].(*ast.BasicLit); ok {
				visit(v.Names[0].Name, lit.Value)
			}
		}
		return true
	})
}

// text is the value of a string literal.
func text(n ast.Node) (string, bool) {
	lit, ok := n.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// nameOf is an identifier, with its package where it has one.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return nameOf(e.X) + "." + e.Sel.Name
	}
	return ""
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
