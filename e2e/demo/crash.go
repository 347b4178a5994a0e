package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// crash kills the main process. Its port outlives it, and clients wait there.
func (s *story) crash(ctx context.Context) error {
	s.out.title("kill -9 of the main process")
	if err := s.stage.deploy(s.programs.v2); err != nil {
		return err
	}
	k, e := killing{began: time.Now()}, s.event(record.Kill, "SIGKILL for the main process")
	if err := s.stage.kill(s.main.pid); err != nil {
		return err
	}
	k.done = time.Now()
	now, err := s.client.ask(ctx)
	if err != nil {
		return err
	}
	k.over = time.Now()
	s.happened(e, now, nil)
	if err := s.expect(ctx, now, "v2", 1); err != nil {
		return err
	}
	s.out.item("killed", s.main.String())
	s.out.item("serving", fmt.Sprintf("%v, after %s: started anew", now, short(k.over.Sub(k.done))))
	if err := pass(ctx); err != nil {
		return err
	}
	s.final = s.load.Stop() // with the answers that are due
	if ctx.Err() != nil {
		return context.Cause(ctx) // which has cut them off
	}
	s.aftermath(k)
	return nil
}

// aftermath counts the requests that the kill has cost.
func (s *story) aftermath(k killing) {
	r := s.interval()
	s.outcome.crash = k.blame(r)
	s.outcome.all.add(s.final)
	s.outcome.unreachable = unreachable(s.final.Total())
	waited := quick(r).Latency
	s.out.item("port", fmt.Sprintf("%d refused; who came meanwhile waited in its queue, at most %s",
		unreachable(r.Total()), short(waited.Max())))
	s.out.item("lost", fmt.Sprintf("%d by the kill itself: the process had them in work; %d others", s.outcome.crash.byKill, s.outcome.crash.others))
}

// A killing is when a process was killed.
type killing struct {
	began, done time.Time // of the kill
	over        time.Time // when another process had answered
}

// blame divides the lost requests of r. Those of which the report has no details, as
// there are too many, are judged by their kind.
func (k killing) blame(r load.Report) (a aftermath) {
	for _, c := range r.Classes {
		a.others += c.Failed() + c.Abandoned
		byKill := c.Failures[load.Reset] + c.Failures[load.NoAnswer] + c.Failures[load.Truncated]
		for _, f := range c.First {
			if brokeOff(f.Kind) && !k.explains(f) {
				byKill--
			}
		}
		a.byKill += byKill
		a.others -= byKill
	}
	return a
}

// brokeOff reports whether the connection ended under a request.
func brokeOff(kind load.Kind) bool {
	return kind == load.Reset || kind == load.NoAnswer || kind == load.Truncated
}

// explains reports whether a connection that broke off was the killed process's. One
// that is new was, if it was dialled before; one that was kept, until another
// process serves.
func (k killing) explains(f load.Failure) bool {
	if f.At.Before(k.began) {
		return false
	}
	if f.Reused {
		return f.Due.Before(k.over)
	}
	return f.Due.Before(k.done)
}
