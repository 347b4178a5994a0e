package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// programs are the binaries that the stories deploy, each built once per run.
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
	path := filepath.Join(programs.dir, filepath.Base(folder)+"-"+filepath.Base(pkg)+"-"+version)
	v, _ := programs.once.LoadOrStore(path, new(built))
	b := v.(*built)
	b.Do(func() {
		// Static, for trees whose libc is older than ours. Without what debuggers
		// need, a third of the linking and of each copy is saved.
		args := append([]string{"build", "-C", folder, "-buildvcs=false", "-ldflags", "-s -w -X main.version=" + version, "-o", path}, flags...)
		cmd := exec.Command("go", append(args, pkg)...)
		cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("build %s: %w\n%s", pkg, err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return path
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
