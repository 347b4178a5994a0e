package fault_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/fault"
)

// Each constant is in the list of Points, and one call of At in the engine names it.
func TestEveryPointIsAStepOfTheEngine(t *testing.T) {
	constants := points(t)
	for name, p := range constants {
		if !slices.Contains(fault.Points(), p) {
			t.Errorf("%s is not in Points", name)
		}
	}
	if listed := fault.Points(); len(constants) != len(listed) {
		t.Errorf("%d constants, %d in Points", len(constants), len(listed))
	}
	used := map[string]int{}
	for _, name := range steps(t) {
		used[name]++
		if _, ok := constants[name]; !ok {
			t.Errorf("the engine calls At(%s), which is no constant of type Point", name)
		}
	}
	for name := range constants {
		if used[name] != 1 {
			t.Errorf("%s is used %d times in the engine, want once", name, used[name])
		}
	}
}

// points returns the constants of type Point by name.
func points(t *testing.T) map[string]fault.Point {
	t.Helper()
	found := map[string]fault.Point{}
	for _, f := range parse(t, ".") {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			value, literal := spec.Values[0].(*ast.BasicLit)
			if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Point" || !literal {
				return true
			}
			text, err := strconv.Unquote(value.Value)
			if err != nil {
				t.Fatal(err)
			}
			found[spec.Names[0].Name] = fault.Point(text)
			return true
		})
	}
	return found
}

// steps returns the names of the points that the engine passes to At.
func steps(t *testing.T) (names []string) {
	t.Helper()
	for _, f := range append(parse(t, "../../reexec"), parse(t, "../../reexec/internal/*")...) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if ok && selector(call.Fun) == "At" && len(call.Args) == 1 {
				names = append(names, selector(call.Args[0]))
			}
			return true
		})
	}
	return names
}

// selector returns X of an expression fault.X.
func selector(e ast.Expr) string {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if pkg, ok := s.X.(*ast.Ident); !ok || pkg.Name != "fault" {
		return ""
	}
	return s.Sel.Name
}

// parse returns the files in dir, which may be a pattern, that are no tests.
func parse(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%d files in %s, %v", len(paths), dir, err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}
