package cutover_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// step is a file and a function in CONTRIBUTING.md.
var step = regexp.MustCompile("`([a-z/_]+\\.go)` `(\\w+)`")

func TestJourneysNameFunctionsThatExist(t *testing.T) {
	guide, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := step.FindAllStringSubmatch(string(guide), -1)
	if len(steps) < 20 {
		t.Fatalf("%d steps in CONTRIBUTING.md, want the three journeys", len(steps))
	}
	for _, s := range steps {
		code, err := os.ReadFile(s[1])
		if err != nil {
			t.Error(err)
			continue
		}
		if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + s[2] + `[\[(]`).Match(code) {
			t.Errorf("%s has no function %s", s[1], s[2])
		}
	}
}

func TestFirstPageOfReexecNamesEachFunctionByTopic(t *testing.T) {
	set, files := token.NewFileSet(), []*ast.File(nil)
	paths, err := filepath.Glob("reexec/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	page, err := doc.NewFromFiles(set, files, module+"reexec")
	if err != nil {
		t.Fatal(err)
	}
	named := func(name string) {
		if !strings.Contains(page.Doc, "["+name+"]") {
			t.Errorf("reexec/doc.go has no link [%s]: add the name to its topic", name)
		}
	}
	for _, f := range page.Funcs {
		named(f.Name)
	}
	for _, typ := range page.Types {
		if !ast.IsExported(typ.Name) {
			continue
		}
		for _, f := range typ.Funcs {
			named(f.Name)
		}
		for _, m := range typ.Methods {
			if typ.Name == "Upgrader" {
				named("Upgrader." + m.Name)
			}
		}
	}
}

func TestTourNamesEveryPackageOfTheEngine(t *testing.T) {
	guide, err := os.ReadFile("CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	folders, err := os.ReadDir("reexec/internal")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, line := range strings.Split(string(guide), "\n") {
		if strings.HasPrefix(line, "| `") {
			rows = append(rows, strings.SplitN(line, "|", 3)[1])
		}
	}
	for _, f := range folders {
		if f.IsDir() && !strings.Contains(strings.Join(rows, ","), "`"+f.Name()+"`") {
			t.Errorf("CONTRIBUTING.md has no row for reexec/internal/%s", f.Name())
		}
	}
}
