package losses

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/progress"
	"github.com/cutover-go/cutover/e2e/proof/record"
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
	steady    windows
	beside    windows // during restarts of the bystander
	upgrading windows
	bystander server // has no name without -beside
	busy      usage  // in the steady times
}

// follow upgrades as often as the plan says, half of the time.
func (c *course) follow(ctx context.Context) error {
	c.began = c.run.Report()
	for _, w := range []*windows{&c.steady, &c.beside, &c.upgrading} {
		w.classes = make([]load.Histogram, len(c.began.Classes))
	}
	bar := progress.On(c.log)
	defer bar.Clear()
	for done := range c.upgrades {
		bar.Show(float64(done)/float64(c.upgrades), fmt.Sprintf("%d of %d upgrades", done, c.upgrades))
		before := processor()
		if err := c.during(ctx, &c.steady, c.look); err != nil {
			return err
		}
		c.busy.add(processor().since(before))
		if c.bystander.name != "" {
			if err := c.during(ctx, &c.beside, c.restart); err != nil {
				return err
			}
		}
		if err := c.during(ctx, &c.upgrading, c.upgrade); err != nil {
			return fmt.Errorf("after %d upgrades: %w", done, err)
		}
	}
	return nil
}

// during calls f at the beginning of a window and adds the latencies of the answers in
// it.
func (c *course) during(ctx context.Context, to *windows, f func(context.Context) error) error {
	before, end := c.run.Report(), time.Now().Add(c.window)
	if err := f(ctx); err != nil {
		return err
	}
	err := pass(ctx, end)
	var short load.Histogram
	for i, s := range c.run.Report().Since(before).Classes {
		to.classes[i].Merge(&s.Latency)
		if c.specs[i].Slowly == 0 {
			short.Merge(&s.Latency)
		}
	}
	if short.Count() >= enough {
		to.p999 = append(to.p999, short.Quantile(0.999))
	}
	return err
}

// windows has the latencies of all windows of a kind.
type windows struct {
	classes []load.Histogram
	p999    []time.Duration // of the short requests of each window
}

// typical returns the median of the p99.9 of the windows. A burst of late answers in one of
// them, which another program has caused, does not move it.
func (w windows) typical() time.Duration {
	if len(w.p999) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(w.p999))[len(w.p999)/2]
}

// look runs the operator's command without an upgrade, so that both kinds of windows
// contain the processor time of the command.
func (c *course) look(ctx context.Context) error { return c.stage.look(ctx, c.server) }

// restart starts the same program without any of the sockets.
func (c *course) restart(ctx context.Context) error { return c.stage.restart(ctx, c.bystander) }

// upgrade returns when another process answers on new connections.
func (c *course) upgrade(ctx context.Context) error {
	e := record.Event{Kind: record.Reload, At: c.rig.record.Now(), Before: c.pid}
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
			e.Done, e.After = c.rig.record.Now(), pid
			c.rig.record.Event(e)
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
	var up, steady, beside load.Histogram
	for i, s := range c.run.Report().Since(c.began).Classes {
		r := row{Load: s.Name, Requests: s.Sent, Lost: s.Failed() + s.Abandoned, Closed: s.Closed(), Dials: s.Dials, Declined: s.Declined}
		r.latencies(&c.upgrading.classes[i], &c.steady.classes[i], &c.beside.classes[i])
		res.rows = append(res.rows, r)
		if c.specs[i].Slowly == 0 {
			all.add(r)
			up.Merge(&c.upgrading.classes[i])
			steady.Merge(&c.steady.classes[i])
			beside.Merge(&c.beside.classes[i])
		}
	}
	all.latencies(&up, &steady, &beside)
	res.short = all
	res.upgrading, res.steady, res.beside = c.upgrading.typical(), c.steady.typical(), c.beside.typical()
	return res
}
