// Package speed measures the costs of upgrades and of serving, each beside a baseline in the
// same run, and prints one table:
//
//	go run ./e2e/measure speed              # about eight minutes
//	go run ./e2e/measure speed -only udp
//
// Each figure is a median over rounds in which the two sides take turns, because other
// programs on the machine disturb single rounds. The ratios compare between machines, the
// times do not. Rows whose needs are missing (a systemd, more descriptors) are named below the table.
package speed

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// A row is a line of the table.
type row struct {
	figure         string
	ours, baseline float64
	unit           string
	ratio          float64
	spread         [2]float64 // of the ratio: quartiles of the rounds, 0 where there are none
}

// A bench measures with the programs in dir.
type bench struct {
	dir    string
	rounds int
	idles  []int // the numbers of connections that drains moves
	log    io.Writer
	rows   []row
	absent []string
}

// A part is a value of -only.
type part struct {
	name string
	run  func(*bench, context.Context) error
}

var parts = []part{{"reload", (*bench).reloads}, {"spawn", (*bench).spawns}, {"http", (*bench).http},
	{"tcp", (*bench).tcp}, {"udp", (*bench).udp}, {"drain", (*bench).drains}, {"memory", (*bench).memory}}

// Command measures as args say, and returns the exit status. The caller has called
// machine.Init.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("speed", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rounds := flags.Int("n", 20, "`rounds` of each figure")
	only := flags.String("only", "", "one `part`: reload, spawn, http, tcp, udp, drain or memory")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || *rounds < 1 || *only != "" && !slices.ContainsFunc(parts, func(p part) bool { return p.name == *only }) {
		flags.Usage()
		return 2
	}
	b := &bench{rounds: *rounds, idles: []int{0, 1000, 10000}, log: stderr}
	chosen := parts
	if *only != "" {
		chosen = slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return p.name != *only })
	}
	err := b.measure(ctx, chosen)
	if err == nil {
		err = b.print(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "speed:", errors.Join(err, context.Cause(ctx)))
		return 1
	}
	return 0
}

func (b *bench) measure(ctx context.Context, chosen []part) (err error) {
	if b.dir, err = os.MkdirTemp("", "cutover-speed-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if err := b.build(ctx, "speed", "e2e/testdata/speed"); err != nil {
		return err
	}
	for _, p := range chosen {
		fmt.Fprintln(b.log, "measuring", p.name)
		if err := p.run(b, ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// build builds a package of this module as a program in dir.
func (b *bench) build(ctx context.Context, name, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", b.path(name), "github.com/cutover-go/cutover/"+pkg)
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, text)
	}
	return nil
}

func (b *bench) path(program string) string { return filepath.Join(b.dir, program) }

// compare adds a row for two lists of figures, of which those with one index were measured
// one after the other.
func (b *bench) compare(figure, unit string, ours, baseline []float64) {
	r := row{figure: figure, ours: median(ours), baseline: median(baseline), unit: unit}
	r.ratio = r.ours / r.baseline
	var each []float64
	for i := range min(len(ours), len(baseline)) {
		each = append(each, ours[i]/baseline[i])
	}
	slices.Sort(each)
	r.spread = [2]float64{each[len(each)/4], each[len(each)*3/4]}
	b.rows = append(b.rows, r)
}

func (b *bench) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "figure\tours\tbaseline\tratio\tquartiles of the ratio\t")
	for _, r := range b.rows {
		fmt.Fprintf(t, "%s\t%s %s\t%s %s\t%.2f\t", r.figure, digits(r.ours), r.unit, digits(r.baseline), r.unit, r.ratio)
		if r.spread != [2]float64{} {
			fmt.Fprintf(t, "%.2f to %.2f", r.spread[0], r.spread[1])
		}
		fmt.Fprintln(t, "\t")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(b.absent) > 0 {
		_, err := fmt.Fprintln(w, "not measured:", strings.Join(b.absent, "; "))
		return err
	}
	return nil
}

func digits(f float64) string {
	if f >= 1000 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.1f", f)
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[len(sorted)/2] + sorted[(len(sorted)-1)/2]) / 2
}
