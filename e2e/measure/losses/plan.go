package losses

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
)

// whole is the duration of an upgrade from the reload to the exit of the replaced
// process: the slow answers, and a second of reserve.
const whole = slowly + time.Second

// drain is longer than the slow requests take.
const drain = "8s"

// A plan describes a measurement.
type plan struct {
	kind     string // of the stage
	upgrades int
	part     float64       // of the usual load
	window   time.Duration // for an upgrade, and then as long without
	beside   bool          // also start the program in further windows without an upgrade
	only     string        // server, empty for both
	also     []string
	report   string    // file for every request of the first server, "" for none
	log      io.Writer // gets a line for what begins
	detail   bool
}

// run performs the measurement.
func (p plan) run(ctx context.Context) (t table, err error) {
	dir, err := os.MkdirTemp("", "cutover-losses-")
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	st, err := raise(ctx, p.kind, dir)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	r := &rig{plan: p, stage: st, dir: dir}
	if r.cert, r.key, r.trust, err = certificate(st.host()); err != nil {
		return t, err
	}
	if r.body, err = io.ReadAll(load.Pattern(megabytes)); err != nil {
		return t, err
	}
	t.stage, t.upgrades = st.name(), p.upgrades
	if p.only != "recipe" {
		if t.ours, err = r.measure(ctx, "web", 8080); err != nil {
			return t, err
		}
	}
	if p.report != "" && r.record != nil {
		if err := recorder.Write(ctx, p.report, r.record.Report()); err != nil {
			return t, err
		}
	}
	if p.only != "web" {
		if t.recipe, err = r.measure(ctx, "recipe", 9080); err != nil {
			return t, err
		}
	}
	for _, command := range p.also {
		rows, err := foreign(ctx, command)
		if err != nil {
			return t, err
		}
		t.ours.rows = append(t.ours.rows, rows...)
	}
	return t, nil
}

// foreign returns the rows that another program prints.
func foreign(ctx context.Context, command string) ([]row, error) {
	words := strings.Fields(command)
	if len(words) == 0 {
		return nil, errors.New("-also: no command")
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	rows, err := readJSON(bytes.NewReader(text))
	if err != nil || len(rows) == 0 {
		return nil, fmt.Errorf("%s: %d rows: %w", command, len(rows), err)
	}
	return rows, nil
}

// build builds a package of this module and puts the program on the stage.
func (r *rig) build(ctx context.Context, pkg string) (string, error) {
	name := path.Base(pkg)
	out := filepath.Join(r.dir, name+".built")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", out, "github.com/cutover-go/cutover/"+pkg)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	program, err := os.ReadFile(out)
	if err != nil {
		return "", err
	}
	return r.stage.put(name, program, 0o755)
}
