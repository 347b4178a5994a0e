// Package pages compiles the programs that documentation shows, in a module outside of the
// repository.
package pages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Here is the place of a program or fragment in its Frame.
const Here = "<here>"

// A Frame completes a fragment, the block of documentation with this first line, to a file of
// package main without its imports. A fragment that begins with package has no Text.
type Frame struct{ File, First, Text string }

// imports are the packages that fragments use, by the name that they use.
var imports = map[string]string{
	"context": "context", "grpc": "google.golang.org/grpc", "http": "net/http", "http3": "github.com/quic-go/quic-go/http3",
	"net": "net", "os": "os", "prometheus": "github.com/prometheus/client_golang/prometheus", "tls": "crypto/tls",
}

// own are our packages.
var own = []string{"activation", "notify", "reexec", "reexec/regrpc", "reexec/rehttp", "reexec/rehttp3", "reexec/remetrics", "reexec/tableflip", "units"}

const ours = "github.com/cutover-go/cutover"

// Vet compiles the fragments in a module with the requirements of the one in the current folder,
// which is two folders below the root of the repository. A line of "..." stands for
// the return of err.
func Vet(t *testing.T, frames []Frame) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	mod := read(t, "go.mod")
	mod = regexp.MustCompile(`(?m)^module .*`).ReplaceAllString(mod, "module myapp")
	mod = strings.ReplaceAll(mod, "=> ../..", "=> "+root)
	write(t, filepath.Join(dir, "go.mod"), mod)
	write(t, filepath.Join(dir, "go.sum"), read(t, "go.sum"))
	for i, f := range frames {
		blocks := blocksOf(read(t, filepath.Join(root, f.File)))
		n := slices.IndexFunc(blocks, func(b string) bool { return strings.HasPrefix(b, f.First+"\n") })
		if n < 0 {
			t.Errorf("%s shows no block that begins with %q", f.File, f.First)
			continue
		}
		write(t, filepath.Join(dir, fmt.Sprint("program", i), "main.go"), f.complete(blocks[n]))
	}
	vet := exec.CommandContext(t.Context(), "go", "vet", "-mod=mod", "./...")
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOWORK=off")
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("go vet of the programs: %v\n%s", err, out)
	}
}

// complete returns the file with the fragment.
func (f Frame) complete(fragment string) string {
	if f.Text == "" {
		return fragment
	}
	fragment = regexp.MustCompile(`(?m)^\t*\.\.\.$`).ReplaceAllString(fragment, "if err != nil { return err }")
	body := strings.Replace(f.Text, Here, fragment, 1)
	file := "// Command main is of " + f.File + ".\npackage main\n"
	add := func(name, path string) {
		if regexp.MustCompile(`\b`+name+`\.`).MatchString(body) && !strings.Contains(body, `import "`+path) {
			file += fmt.Sprintf("import %q\n", path)
		}
	}
	for name, path := range imports {
		add(name, path)
	}
	for _, path := range own {
		add(filepath.Base(path), ours+"/"+path)
	}
	if !strings.Contains(body, "func main()") {
		body += "\nfunc main() {}\n"
	}
	return file + body
}

// blocksOf returns the indented blocks in the doc comments of a file.
func blocksOf(text string) (blocks []string) {
	block := ""
	for line := range strings.Lines(text + "\n") {
		switch code, ok := strings.CutPrefix(line, "//\t"); {
		case ok:
			block += code
		case line == "//\n" && block != "":
			block += "\n"
		case block != "":
			blocks, block = append(blocks, block), ""
		}
	}
	return blocks
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
