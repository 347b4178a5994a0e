package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// The packages are named by their paths, so that the demo can be started in any
// folder of the module.
const (
	examplePackage = "github.com/cutover-go/cutover/examples/http"
	brokenPackage  = "github.com/cutover-go/cutover/e2e/demo/testdata/broken"
)

// programs are the deployed binaries.
type programs struct {
	v1, v2, broken string            // paths
	units          map[string]string // text by name
}

// build builds the programs in dir and reads the units.
func build(ctx context.Context, out *screen, dir string) (p programs, err error) {
	for _, s := range []struct {
		name, text, version, pkg string
		path                     *string
	}{
		{"programs", "go build of examples/http as v1 ...", "v1", examplePackage, &p.v1},
		{"", "the same as v2 ...", "v2", examplePackage, &p.v2},
		{"", "a v3 that does not start ...", "v3", brokenPackage, &p.broken},
	} {
		out.begin(s.name, s.text) // at once: with an empty cache each takes its time
		began := time.Now()
		if *s.path, err = buildProgram(ctx, dir, s.version, s.pkg); err != nil {
			return p, err
		}
		out.done(short(time.Since(began)))
	}
	p.units, err = readUnits(ctx)
	return p, err
}

func buildProgram(ctx context.Context, dir, version, pkg string) (path string, err error) {
	path = filepath.Join(dir, version)
	if _, err := goTool(ctx, "build", "-ldflags", "-X main.version="+version, "-o", path, pkg); err != nil {
		return "", err
	}
	// DynamicUser= has to execute it, whatever the umask is here.
	return path, os.Chmod(path, 0o755)
}

// goTool runs the go command and returns its output.
func goTool(ctx context.Context, verb string, arg ...string) (string, error) {
	// git does not speak to a user who does not own the tree.
	arg = append([]string{verb, "-buildvcs=false"}, arg...)
	cmd := exec.CommandContext(ctx, "go", arg...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	// A go command that is killed leaves its working directory behind.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(arg, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(text)), nil
}

func readUnits(ctx context.Context) (map[string]string, error) {
	example, err := goTool(ctx, "list", "-f", "{{.Dir}}", examplePackage)
	if err != nil {
		return nil, err
	}
	units := map[string]string{}
	for _, name := range []string{socketUnit, serviceUnit} {
		text, err := os.ReadFile(filepath.Join(example, "units", name))
		if err != nil {
			return nil, err
		}
		units[name] = string(text)
	}
	return units, nil
}
