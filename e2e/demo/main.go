// Command demo replaces a real web server under load and counts the lost requests:
//
//	go run -v ./e2e/demo
//	go run -v ./e2e/demo -report demo.html   # and draws every request
//	go run -v ./e2e/demo -report upgrade.svg # and draws the first upgrade, as e2e/demo/upgrade.svg
//
// It builds examples/http as v1 and v2 and boots a systemd in new namespaces. Without
// root or systemd it runs a small manager in this process instead. It puts load on v1
// and upgrades back and forth. Then it deploys a program that does not start, and
// kills the main process. That takes half a minute and leaves nothing behind. The exit status is 0 only if no upgrade lost a request,
// the broken program was refused while the old one served, and the port never
// refused a client.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/internal/progress"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/upgradetest"
)

// longest ends a demo that hangs. A slow one takes a minute.
const longest = 3 * time.Minute

func main() {
	machine.Init()
	upgradetest.Init()
	flags := flag.NewFlagSet("demo", flag.ExitOnError)
	report := flags.String("report", "", recorder.Usage)
	kind := flags.String("manager", kinds[0], "what supervises the server: systemd, embedded, or auto for the first that works here")
	_ = flags.Parse(os.Args[1:]) // exits itself
	if flags.NArg() > 0 || !slices.Contains(kinds, *kind) {
		flags.Usage()
		os.Exit(2)
	}
	if *report != "" {
		if err := recorder.Writable(*report); err != nil {
			fmt.Fprintln(os.Stderr, "demo:", err)
			os.Exit(2)
		}
	}
	os.Exit(run(*kind, *report))
}

// run returns the exit status.
func run(kind, report string) int {
	ctx, cancel := context.WithTimeoutCause(context.Background(), longest, fmt.Errorf("not done within %v", longest))
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, mute := context.WithCancelCause(ctx)
	defer mute(nil)
	// Caught, for else a reader that has gone (| head) would end this program before it
	// has cleaned up. Not ignored, which the programs that it starts would inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	o, err := tell(ctx, &screen{w: os.Stdout, gone: mute, bar: progress.On(os.Stdout)}, kind, report)
	if err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
	}
	if err != nil || !o.good() {
		return 1
	}
	return 0
}

// tell tells the story in its order, and leaves nothing behind.
func tell(ctx context.Context, out *screen, kind, report string) (o outcome, err error) {
	began := time.Now()
	dir, err := os.MkdirTemp("", "cutover-demo-")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &story{out: out, kind: kind, dir: dir}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, step := range []func(context.Context) error{s.prepare, s.start, s.upgrades, s.broken, s.crash} {
		if err := step(ctx); err != nil {
			return o, s.reason(ctx, err)
		}
	}
	s.stopLoad()
	s.end(time.Since(began))
	if report != "" {
		out.begin("report", report+" ...")
		if err := recorder.Write(ctx, report, s.record.Report()); err != nil {
			return o, err
		}
		out.done("written")
	}
	return s.outcome, nil
}
