package e2e

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs are the binaries that the stories deploy. Each package is built once per run, and
// each version of a program is a copy.
var programs struct {
	dir  string
	once sync.Map // path of the binary to *built
}

type built struct {
	sync.Once
	err error
}

// program returns the path of pkg built as version.
func program(t testing.TB, pkg, version string) string {
	t.Helper()
	return programOf(t, ".", pkg, version)
}

// programOf is program for a package of the module in folder. flags are further flags of go build.
func programOf(t testing.TB, folder, pkg, version string, flags ...string) string {
	t.Helper()
	name := filepath.Join(programs.dir, filepath.Base(folder)+"-"+filepath.Base(pkg))
	path := name + "-" + version
	makeOnce(t, path, func() error {
		makeOnce(t, name, func() error { return build(folder, pkg, name, flags) })
		return stamp(name, path, version)
	})
	return path
}

// makeOnce makes the file at path in the first call with path.
func makeOnce(t testing.TB, path string, make func() error) {
	t.Helper()
	v, _ := programs.once.LoadOrStore(path, new(built))
	b := v.(*built)
	b.Do(func() {
		b.err = errors.New("the test that makes this file has failed") // if make ends its test
		b.err = make()
	})
	if b.err != nil {
		t.Fatalf("%s: %v", path, b.err)
	}
}

// anyVersion is the version that a program is linked with, as long as a version may be.
const anyVersion = "version-set-by-the-stories-later"

func build(folder, pkg, path string, flags []string) error {
	// Static, for trees whose libc is older than ours. Without what debuggers
	// need, a third of the linking and of each copy is saved.
	args := append([]string{"build", "-C", folder, "-buildvcs=false", "-ldflags", "-s -w -X main.version=" + anyVersion, "-o", path}, flags...)
	cmd := exec.Command("go", append(args, pkg)...)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// stamp copies the program at from and sets its version. A copy takes a hundredth of the
// processor time of a link.
func stamp(from, to, version string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			setString(data, data[p.Off:p.Off+p.Filesz], p.Vaddr, version)
		}
	}
	return os.WriteFile(to, data, 0o755)
}

// setString sets each variable of the program data that is anyVersion, whose bytes lie in
// segment. The variable has their address and their number. A program may have no such variable.
func setString(data, segment []byte, address uint64, value string) {
	for at := 0; ; at++ {
		n := bytes.Index(segment[at:], []byte(anyVersion))
		if n < 0 {
			return
		}
		at += n
		variable := binary.LittleEndian.AppendUint64(nil, address+uint64(at))
		variable = binary.LittleEndian.AppendUint64(variable, uint64(len(anyVersion)))
		if i := bytes.Index(data, variable); i >= 0 { // -X is repeated in what go version -m prints
			copy(segment[at:], value)
			binary.LittleEndian.PutUint64(data[i+8:], uint64(len(value)))
		}
	}
}

// example is the HTTP server of examples/http.
func example(t testing.TB, version string) string {
	t.Helper()
	return program(t, "../examples/http", version)
}

// server is the same with a look inside, in testdata/server.
func server(t testing.TB, version string) string {
	t.Helper()
	return program(t, "./testdata/server", version)
}
