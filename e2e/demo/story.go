package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// The load: little work for two cores, and enough for anything that is lost to show.
var (
	kept = load.Class{Name: "kept connections", Rate: 400, Conns: 32, Body: []byte("kept"), Timeout: patience, MaxPending: maxPending}
	once = load.Class{Name: "new connections", Rate: 250, Body: []byte("new"), Timeout: patience, MaxPending: maxPending}
	slow = load.Class{Name: slowClass, Rate: 8, Path: "/sleep?d=2s", Timeout: patience, MaxPending: maxPending}
)

const slowClass = "2 s requests"

// A machine that has other work to do must make requests late, not lost.
const (
	patience   = 30 * time.Second
	maxPending = 1 << 15
)

const (
	upgradeCount = 5
	lull         = 2 * time.Second // of load, after each event
)

// A story is a server on a stage, under load.
type story struct {
	out       *screen
	kind, dir string // of the stage

	stage    stage
	programs programs
	outcome  outcome

	client *client
	load   *load.Run
	record *recorder.Recorder
	watch  sync.WaitGroup     // of the recorder
	hangUp context.CancelFunc // of the load
	mark   load.Report        // how far interval has counted
	final  load.Report
	main   answer // of the process that serves
	table  table
}

// prepare sets the stage and builds the programs.
func (s *story) prepare(ctx context.Context) (err error) {
	s.out.title("Cutover: a web server is replaced while it serves")
	if s.stage, err = raise(ctx, s.out, s.kind, s.dir); err != nil {
		return err
	}
	s.programs, err = build(ctx, s.out, s.dir)
	return err
}

// start starts v1 and the load, and shows how it goes without an upgrade.
func (s *story) start(ctx context.Context) error {
	for _, name := range []string{socketUnit, serviceUnit} {
		if err := s.stage.Install(ctx, name, s.stage.adapt(s.programs.units[name])); err != nil {
			return err
		}
	}
	if err := s.stage.deploy(s.programs.v1); err != nil {
		return err
	}
	if err := s.stage.Start(ctx, serviceUnit); err != nil {
		return err
	}
	listen, err := s.stage.Show(ctx, socketUnit, "Listen") // such as "127.0.0.1:8080 (Stream)"
	if err != nil {
		return err
	}
	addr, _, _ := strings.Cut(listen, " ")
	s.client = newClient(addr, s.stage.DialContext)
	if s.main, err = s.client.ask(ctx); err != nil {
		return err
	}
	s.startLoad(ctx, addr)
	return s.baseline(ctx)
}

func (s *story) startLoad(ctx context.Context, addr string) {
	ctx, s.hangUp = context.WithCancel(ctx)
	classes := []load.Class{kept, once, slow}
	s.record = recorder.New("examples/http, demo", s.stage.name(), classes)
	s.load = load.Start(ctx, load.Config{Addr: addr, Dial: s.stage.DialContext, Classes: classes, Settled: s.record.Settled})
	s.watch.Go(func() { s.record.Watch(ctx, s.stage.proc) }) // ends with hangUp; close waits
	s.watch.Go(func() { s.progress(ctx) })                   // as well
	s.mark = s.load.Report()
	s.out.item("load", fmt.Sprintf("%.0f requests/s on %d kept connections, %.0f/s on new ones, %.0f/s that take 2 s; "+
		"all POST, none is sent twice, one without its whole answer is lost", kept.Rate, kept.Conns, once.Rate, slow.Rate))
}

func (s *story) baseline(ctx context.Context) error {
	s.out.title(fmt.Sprintf("%d upgrades, each by a reload of %s", upgradeCount, serviceUnit))
	s.table = newTable(s.main.pid)
	s.out.print(s.table.titles() + s.table.before(s.main))
	if err := pass(ctx); err != nil {
		return err
	}
	s.figures()
	return nil
}

// figures counts an interval to those of the upgrades and shows it.
func (s *story) figures() {
	r := s.interval()
	s.outcome.upgrading.add(r)
	s.out.print(s.table.figures(r))
}

// upgrades replaces v1 by v2, that by v1, and so on.
func (s *story) upgrades(ctx context.Context) error {
	for i := range upgradeCount {
		program, version := s.programs.v2, "v2"
		if i%2 == 1 {
			program, version = s.programs.v1, "v1"
		}
		if err := s.upgrade(ctx, program, version); err != nil {
			return fmt.Errorf("upgrade %d: %w", i+1, err)
		}
		s.outcome.upgrades++
	}
	s.out.print(tableNotes)
	return nil
}

func (s *story) upgrade(ctx context.Context, program, version string) error {
	if err := s.stage.deploy(program); err != nil {
		return err
	}
	began, e := time.Now(), s.event(record.Reload, version)
	if err := s.stage.Reload(ctx, serviceUnit); err != nil {
		return err
	}
	now, err := s.client.ask(ctx)
	if err != nil {
		return err
	}
	took := time.Since(began)
	s.happened(e, now, nil)
	if err := s.expect(ctx, now, version, s.main.generation+1); err != nil {
		return err
	}
	s.out.print(s.table.upgrade(s.main, now, took))
	s.main = now
	if err := pass(ctx); err != nil {
		return err
	}
	s.figures()
	return nil
}

// expect fails unless now has the wanted version and generation and is the manager's
// main process.
func (s *story) expect(ctx context.Context, now answer, version string, generation int) error {
	pid, err := s.stage.Show(ctx, serviceUnit, "MainPID")
	if err != nil {
		return err
	}
	if now.version != version || now.generation != generation || strconv.Itoa(now.pid) != pid {
		return fmt.Errorf("%v answers and MainPID=%s, want %s, generation %d, as main process", now, pid, version, generation)
	}
	return nil
}

// broken deploys a program that does not start.
func (s *story) broken(ctx context.Context) error {
	s.out.title("A broken program: v3 ends as soon as it has started")
	if err := s.stage.deploy(s.programs.broken); err != nil {
		return err
	}
	journal := s.journal(ctx)
	began, e := time.Now(), s.event(record.Reload, "a program that does not start")
	err := s.stage.Reload(ctx, serviceUnit)
	took := time.Since(began)
	s.happened(e, s.main, err)
	code, reported := exitCode(err)
	if err != nil && !reported {
		return err
	}
	status, err := s.stage.Show(ctx, serviceUnit, "StatusText")
	if err != nil {
		return err
	}
	s.out.item("reload", fmt.Sprintf("exit code %d, after %s", code, short(took)))
	s.out.item("status", status)
	s.out.item("journal", linesWith(strings.TrimPrefix(s.journal(ctx), journal), "v3:"))
	s.outcome.refused = reported
	return s.unharmed(ctx)
}

// lulls is how often the load goes on for a while.
const lulls = upgradeCount + 3

// progress shows how far the story is, until ctx ends.
func (s *story) progress(ctx context.Context) {
	began := time.Now()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		requests, lost := s.record.Count()
		part := time.Since(began).Seconds() / (lulls * lull.Seconds() * 1.1) // a tenth for the events
		s.out.show(min(part, 0.99), fmt.Sprintf("%s requests, %s lost", count(requests), count(lost)))
	}
}

// event returns an event that begins now.
func (s *story) event(kind record.Kind, text string) record.Event {
	return record.Event{Kind: kind, At: s.record.Now(), Before: s.main.pid, Text: text}
}

// happened records e, at the end of it.
func (s *story) happened(e record.Event, now answer, err error) {
	e.Done, e.After = s.record.Now(), now.pid
	if err != nil {
		e.Error = err.Error()
	}
	s.record.Event(e)
}

// unharmed shows that the process which was to be replaced serves on.
func (s *story) unharmed(ctx context.Context) error {
	if err := pass(ctx); err != nil {
		return err
	}
	now, err := s.client.ask(ctx)
	if err != nil {
		return err
	}
	r := s.interval()
	s.outcome.unharmed = now == s.main
	s.outcome.refusing.add(r)
	serving := "still " + now.String()
	if !s.outcome.unharmed {
		serving = fmt.Sprintf("%v, no longer %v", now, s.main)
	}
	s.main = now
	s.out.item("serving", serving)
	s.out.item("meanwhile", inOneLine(r))
	return nil
}

// end sums up.
func (s *story) end(took time.Duration) {
	s.out.title("Summary, after " + short(took))
	s.out.print(classTable(s.final))
	s.out.print(s.outcome.String())
	if !s.outcome.good() {
		s.out.print("\n" + s.final.String())
	}
}

// interval returns the figures since its last call: none is left out.
func (s *story) interval() load.Report {
	now := s.load.Report()
	r := now.Since(s.mark)
	s.mark = now
	return r
}

// journal returns the output of the service and the messages of its manager so far, or
// "" if there is none. It is only shown.
func (s *story) journal(ctx context.Context) string {
	text, _ := s.stage.Log(ctx, serviceUnit)
	return text
}

// reason says why the story ended early.
func (s *story) reason(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx) // what failed for that says less
	case s.stage == nil:
		return err
	}
	return fmt.Errorf("%w\n%s", err, lastLines(s.journal(ctx), 20))
}

// stopLoad ends the load and its records. A second call does nothing.
func (s *story) stopLoad() {
	if s.load != nil {
		s.hangUp()
		<-s.load.Done()
		s.watch.Wait()
	}
}

// close ends all that the story has started.
func (s *story) close() error {
	s.stopLoad()
	if s.stage == nil {
		return nil
	}
	return s.stage.Close()
}

// pass lets the load go on for a while.
func pass(ctx context.Context) error {
	select {
	case <-time.After(lull):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
