package cutover_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mostNames limits the exported constants, variables, functions, types and methods of package
// reexec. A reader has to learn them.
const mostNames = 61

func TestTheSurfaceOfReexecIsSmall(t *testing.T) {
	if names := exported(t, "reexec"); len(names) > mostNames {
		t.Errorf("package reexec exports %d names, want at most %d: a name that only packages below it need belongs into reexec/internal/protocol\n%s",
			len(names), mostNames, strings.Join(names, " "))
	}
}

// The first page of go doc has each function, type and method of the Upgrader in its topic.
func TestEveryNameOfReexecHasATopic(t *testing.T) {
	page := read(t, "reexec/doc.go")
	for _, name := range exported(t, "reexec") {
		of, _, method := strings.Cut(name, ".")
		if strings.HasPrefix(name, "Err") || method && of != "Upgrader" {
			continue
		}
		if !strings.Contains(page, "["+name+"]") {
			t.Errorf("the documentation of package reexec does not name [%s]", name)
		}
	}
}

// exported returns the exported names of a package, methods as Type.Method.
func exported(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var parsed []*ast.File
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	p, err := doc.NewFromFiles(set, parsed, module+folder)
	if err != nil {
		t.Fatal(err)
	}
	values := slices.Concat(p.Consts, p.Vars)
	funcs := p.Funcs
	for _, typ := range p.Types {
		names = append(names, typ.Name)
		values = slices.Concat(values, typ.Consts, typ.Vars)
		funcs = slices.Concat(funcs, typ.Funcs)
		for _, m := range typ.Methods {
			names = append(names, typ.Name+"."+m.Name)
		}
	}
	for _, v := range values {
		names = append(names, v.Names...)
	}
	for _, f := range funcs {
		names = append(names, f.Name)
	}
	return slices.DeleteFunc(names, func(n string) bool { return !ast.IsExported(n) })
}
