// Package compare upgrades servers in several ways under the same load and prints a table:
//
//	go run ./e2e/measure compare           # about half an hour
//	go run ./e2e/measure compare -runs 1 -only overlap,exec
//
// The ways are those of this module, restarts by systemd, a second process with
// SO_REUSEPORT, execve, tableflip, nginx and haproxy. Most of them serve with one
// program, testdata/ways. Each run of a way has a separate machine with a booted
// systemd. The runs of all ways take turns, and a figure is the median of its runs.
//
// The load is an open loop of requests that are never sent twice. Besides ordinary
// upgrades, a run has one with many new connections, one to a version that does not
// start, and one to a version whose start takes several seconds. A way whose programs
// are missing is named below the table.
package compare

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/progress"
)

// A plan describes a measurement.
type plan struct {
	runs     int
	upgrades int           // ordinary ones in a run
	window   time.Duration // from one ordinary upgrade to the next
	repair   time.Duration // the operator repairs bad settings after this time, but not before window
	slow     time.Duration // the start of the slow version
	patience time.Duration // of a client
	part     float64       // of the usual load
	queue    int           // connections that fit into the queue of a socket
	flood    float64       // new connections a second in the upgrade with many
	only     []string      // keys of ways, none for all
	kept     string        // file of the figures of single runs, "" for none
	log      io.Writer     // gets a line for each run
}

// Command measures as args say, and returns the exit status. The caller has called
// machine.Init. The status is 0 only if the default way of this module has lost nothing.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(stderr)
	p := plan{log: stderr}
	flags.IntVar(&p.runs, "runs", 3, "`runs` of each way")
	flags.IntVar(&p.upgrades, "n", 5, "ordinary `upgrades` in a run")
	flags.DurationVar(&p.window, "window", 2500*time.Millisecond, "`time` from one ordinary upgrade to the next")
	flags.DurationVar(&p.slow, "slow", 8*time.Second, "`time` that the start of the slow version takes")
	flags.DurationVar(&p.patience, "patience", 5*time.Second, "`time` for which a client waits")
	flags.Float64Var(&p.part, "load", 1, "`factor` of the load of 670 requests a second")
	flags.IntVar(&p.queue, "queue", 1024, "`connections` that fit into the queue of a socket, net.core.somaxconn of the machines")
	flags.Float64Var(&p.flood, "flood", 2000, "new `connections` a second in the upgrade with many")
	flags.StringVar(&p.kept, "keep", "", "a `file` of single runs: those in it count, and new ones are added")
	only := flags.String("only", "", "`ways`, with commas: "+strings.Join(keys(), ", "))
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *only != "" {
		p.only = strings.Split(*only, ",")
	}
	unknown := slices.ContainsFunc(p.only, func(key string) bool { return !slices.Contains(keys(), key) })
	if flags.NArg() > 0 || p.runs < 0 || p.upgrades < 1 || p.queue < 1 || !(p.part > 0) || unknown {
		flags.Usage()
		return 2
	}
	t, err := p.run(ctx)
	if err == nil {
		err = t.write(stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "compare:", errors.Join(err, context.Cause(ctx)))
		return 1
	}
	if t.broken() {
		return 1
	}
	return 0
}

// run measures each way whose programs are there, as often as the plan says, in turns.
func (p plan) run(ctx context.Context) (t table, err error) {
	dir, err := os.MkdirTemp("", "cutover-compare-")
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t.plan = p
	earlier, err := p.earlier()
	if err != nil {
		return t, err
	}
	for _, w := range ways {
		if len(p.only) > 0 && !slices.Contains(p.only, w.key) {
			continue
		}
		if w.binary, err = w.provide(ctx, filepath.Join(dir, w.program)); err != nil {
			t.absent = append(t.absent, fmt.Sprintf("%s: %v", w.name, err))
			continue
		}
		t.rows = append(t.rows, row{way: w, runs: earlier[w.key]})
	}
	bar := progress.On(p.log)
	defer bar.Clear()
	for i := range p.runs {
		for j := range t.rows {
			w := t.rows[j].way
			if bar == nil {
				fmt.Fprintf(p.log, "run %d of %d: %s\n", i+1, p.runs, w.name)
			}
			bar.Show(float64(i*len(t.rows)+j)/float64(p.runs*len(t.rows)), fmt.Sprintf("run %d of %d: %s", i+1, p.runs, w.name))
			f, manager, err := p.measure(ctx, w)
			if err != nil {
				return t, fmt.Errorf("%s: %w", w.name, err)
			}
			t.manager = manager
			t.rows[j].runs = append(t.rows[j].runs, f)
			if err := p.keep(w, f); err != nil {
				return t, err
			}
		}
	}
	return t, nil
}
