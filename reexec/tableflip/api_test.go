package tableflip

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// listFrom is the folder of a tableflip to make the lists from.
var listFrom = flag.String("api", "", "write testdata/*.txt from the `folder` of github.com/cloudflare/tableflip")

// api returns the exported names of the package in a folder with their types, one a line.
func api(t *testing.T, dir string) (lines []string) {
	t.Helper()
	files := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	text := func(n ast.Node) string {
		var b strings.Builder
		if err := printer.Fprint(&b, files, n); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				lines = append(lines, function(d, text)...)
			case *ast.GenDecl:
				lines = append(lines, declared(d, text)...)
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// function describes an exported function or method, without the names of its parameters.
func function(d *ast.FuncDecl, text func(ast.Node) string) []string {
	receiver := ""
	if d.Recv != nil {
		receiver = text(d.Recv.List[0].Type) + " "
		if !ast.IsExported(strings.Trim(receiver, "* ")) {
			return nil
		}
	}
	if !d.Name.IsExported() {
		return nil
	}
	return []string{"func " + receiver + d.Name.Name + signature(d.Type, text)}
}

func signature(f *ast.FuncType, text func(ast.Node) string) string {
	types := func(l *ast.FieldList) (all []string) {
		if l == nil {
			return nil
		}
		for _, p := range l.List {
			kind := text(p.Type)
			if inner, ok := p.Type.(*ast.FuncType); ok {
				kind = "func" + signature(inner, text)
			}
			for range max(len(p.Names), 1) {
				all = append(all, kind)
			}
		}
		return all
	}
	return "(" + strings.Join(types(f.Params), ", ") + ") (" + strings.Join(types(f.Results), ", ") + ")"
}

// declared describes exported types, constants and variables.
func declared(d *ast.GenDecl, text func(ast.Node) string) (lines []string) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if kind := ""; n.IsExported() {
					if s.Type != nil {
						kind = " " + text(s.Type)
					}
					lines = append(lines, d.Tok.String()+" "+n.Name+kind)
				}
			}
		case *ast.TypeSpec:
			if s.Name.IsExported() {
				lines = append(lines, members(s, text)...)
			}
		}
	}
	return lines
}

// members describes a type by its exported fields, or the types in an interface.
func members(s *ast.TypeSpec, text func(ast.Node) string) []string {
	var fields *ast.FieldList
	lines := []string{"type " + s.Name.Name}
	switch kind := s.Type.(type) {
	case *ast.StructType:
		fields = kind.Fields
	case *ast.InterfaceType:
		fields = kind.Methods
	default:
		return []string{lines[0] + " " + text(kind)}
	}
	for _, f := range fields.List {
		name := strings.TrimPrefix(text(f.Type), "*")
		if len(f.Names) > 0 {
			name = f.Names[0].Name
		}
		if ast.IsExported(name[strings.LastIndex(name, ".")+1:]) {
			lines = append(lines, lines[0]+" has "+name+" "+text(f.Type))
		}
	}
	return lines
}

// testNames returns the names of the tests in a folder, one a line.
func testNames(t *testing.T, dir string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				names = append(names, f.Name.Name+"\n")
			}
		}
	}
	slices.Sort(names)
	return strings.Join(names, "")
}

// additions are the exported names that tableflip does not have.
var additions = []string{"func *Upgrader Reexec() (*reexec.Upgrader)"}

func TestTheAPIIsThatOfTableflip(t *testing.T) {
	if *listFrom != "" {
		if err := os.WriteFile("testdata/tests.txt", []byte(testNames(t, *listFrom)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for dir, list := range map[string]string{".": "testdata/tableflip.txt", "testing": "testdata/testing.txt"} {
		if *listFrom != "" {
			text := strings.Join(api(t, filepath.Join(*listFrom, dir)), "\n") + "\n"
			if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		want, got := strings.Split(strings.TrimSpace(string(text)), "\n"), api(t, dir)
		if len(want) < 10 {
			t.Fatalf("%s has %d names", list, len(want))
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("%s: no %s", dir, line)
			}
		}
		for _, line := range got {
			if !slices.Contains(want, line) && !slices.Contains(additions, line) {
				t.Errorf("%s: %s is not in %s", dir, line, list)
			}
		}
	}
}
