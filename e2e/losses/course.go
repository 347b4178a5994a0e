package main

import (
	"context"
	"fmt"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// A course is the upgrades of one server, with the figures of the load in the times
// with upgrades and in those without.
type course struct {
	*rig
	server server
	specs  []load.Class
	run    *load.Run
	pid    int // of the process that serves

	began     load.Report
	steady    []load.Histogram // by class
	upgrading []load.Histogram
	busy      usage // in the steady times
}

// follow upgrades as the plan says, half of the time.
func (c *course) follow(ctx context.Context) error {
	c.began = c.run.Report()
	c.steady = make([]load.Histogram, len(c.began.Classes))
	c.upgrading = make([]load.Histogram, len(c.began.Classes))
	for done := 0; done < c.upgrades; {
		burst := min(c.pace.burst, c.upgrades-done)
		if err := c.during(c.steady, func() error {
			before := processor()
			defer func() { c.busy.add(processor().since(before)) }()
			return c.windows(ctx, burst, c.look)
		}); err != nil {
			return err
		}
		if err := c.during(c.upgrading, func() error { return c.windows(ctx, burst, c.upgrade) }); err != nil {
			return fmt.Errorf("after %d upgrades: %w", done, err)
		}
		done += burst
		if err := pass(ctx, time.Now().Add(c.pace.rest)); err != nil {
			return err
		}
	}
	return nil
}

// during adds the latencies of what is answered while f runs.
func (c *course) during(to []load.Histogram, f func() error) error {
	before := c.run.Report()
	err := f()
	for i, s := range c.run.Report().Since(before).Classes {
		to[i].Merge(&s.Latency)
	}
	return err
}

// windows calls f at the beginning of each of n windows.
func (c *course) windows(ctx context.Context, n int, f func(context.Context) error) error {
	for range n {
		end := time.Now().Add(c.pace.window)
		if err := f(ctx); err != nil {
			return err
		}
		if err := pass(ctx, end); err != nil {
			return err
		}
	}
	return nil
}

// look is what the operator does where nothing is upgraded, so that the command's own
// part of the processors is in both kinds of times.
func (c *course) look(ctx context.Context) error { return c.stage.look(ctx, c.server) }

// upgrade returns when another process answers on new connections.
func (c *course) upgrade(ctx context.Context) error {
	if err := c.stage.reload(ctx, c.server, c.pid); err != nil {
		return err
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) { // a signal is on its way
		pid, err := c.rig.server(ctx, c.server)
		if err != nil {
			return err
		}
		if pid != c.pid {
			c.pid = pid
			return nil
		}
	}
	return fmt.Errorf("process %d still serves, after %v", c.pid, patience)
}

// pass lets the load go on until end.
func pass(ctx context.Context, end time.Time) error {
	select {
	case <-time.After(time.Until(end)):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// result puts the figures together, with those of requests that were answered after
// the last window.
func (c *course) result() (res result) {
	res.busy = c.busy.part()
	all := row{Load: "all short requests"}
	var up, steady load.Histogram
	for i, s := range c.run.Report().Since(c.began).Classes {
		r := row{Load: s.Name, Requests: s.Sent, Lost: s.Failed() + s.Abandoned, Closed: s.Closed(), Dials: s.Dials, Declined: s.Declined}
		r.latencies(&c.upgrading[i], &c.steady[i])
		res.rows = append(res.rows, r)
		if c.specs[i].Slowly == 0 {
			all.add(r)
			up.Merge(&c.upgrading[i])
			steady.Merge(&c.steady[i])
		}
	}
	all.latencies(&up, &steady)
	res.short = all
	return res
}
