package compare

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// A span is a time of the load.
type span struct{ from, to time.Duration }

// A course is one run of a way, with the times of its parts.
type course struct {
	*site
	steady   span
	ordinary []span // from each upgrade to the next
	memory   int64  // the most that the processes had in them
	flooded  span
	bad      span
	reported bool // the operator's command failed for the bad version
	slowly   span
	dropped  int // connections that did not fit into the full queue in that time
	repeated int // commands that had no effect
}

// measure performs one run of w.
func (p plan) measure(ctx context.Context, w way) (f figures, manager string, err error) {
	s, err := p.arrange(ctx, w)
	if err != nil {
		return f, "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	s.begin(ctx)
	c := &course{site: s}
	for _, part := range []func(context.Context) error{c.rest, c.upgrades, c.upgradeInFlood, c.upgradeToBad, c.upgradeSlowly} {
		if err := part(ctx); err != nil {
			return f, "", errors.Join(err, ctx.Err())
		}
	}
	s.run.Stop()
	return c.figures(), fmt.Sprintf("systemd %d", s.Version()), nil
}

// again is the time after which a command without an effect is repeated.
const again = 5 * time.Second

// rest lets the load go on without an upgrade.
func (c *course) rest(ctx context.Context) error {
	if err := pass(ctx, c.plan.window); err != nil { // connections open
		return err
	}
	c.steady.from = c.rec.Now()
	err := pass(ctx, 2*c.plan.window)
	c.steady.to = c.rec.Now()
	return err
}

// upgrades are the ordinary ones.
func (c *course) upgrades(ctx context.Context) error {
	sizes := c.watchMemory()
	for range c.plan.upgrades {
		sp := span{from: c.rec.Now()}
		if err := c.replace(ctx, version{number: c.next()}, again); err != nil {
			return err
		}
		if err := pass(ctx, c.plan.window-(c.rec.Now()-sp.from)); err != nil {
			return err
		}
		sp.to = c.rec.Now()
		c.ordinary = append(c.ordinary, sp)
	}
	c.memory = sizes()
	return nil
}

// replace upgrades to v and waits for its first answer. It repeats the command after a while
// without one: some ways ignore it while a process before the last is still there.
func (c *course) replace(ctx context.Context, v version, within time.Duration) error {
	if err := c.configure(v); err != nil {
		return err
	}
	for end := time.Now().Add(limit); ; c.repeated++ {
		err := c.operate(ctx, c.way.upgrade)
		if awaited := c.await(ctx, v.number, within); awaited == nil {
			return nil
		} else if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("version %d: %w", v.number, errors.Join(err, awaited))
		}
	}
}

// upgradeInFlood upgrades while many new connections come.
func (c *course) upgradeInFlood(ctx context.Context) error {
	c.flooded.from = c.rec.Now()
	run := load.Start(ctx, load.Config{Dial: c.DialContext, Classes: []load.Class{c.plan.flooding()}, Settled: c.settled})
	defer run.Stop()
	if err := pass(ctx, 500*time.Millisecond); err != nil {
		return err
	}
	err := c.replace(ctx, version{number: c.next()}, again)
	<-run.Done()
	if err == nil {
		err = pass(ctx, c.plan.window)
	}
	c.flooded.to = c.rec.Now()
	return err
}

// upgradeToBad tries to upgrade to a version that does not start. The operator repairs the
// settings after a while.
func (c *course) upgradeToBad(ctx context.Context) error {
	c.bad.from = c.rec.Now()
	if err := c.configure(version{number: c.next(), bad: true}); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- c.operate(ctx, c.way.upgrade) }() // ends with ctx, or once the service runs; awaited below
	err := pass(ctx, max(c.plan.window, c.plan.repair))
	err = errors.Join(err, c.configure(version{number: c.next()}))
	c.reported = <-done != nil
	if err != nil {
		return err
	}
	if !c.way.shared { // an instance that has failed is not needed
		if err := c.operate(ctx, "systemctl start compare"); err != nil {
			return err
		}
	}
	err = c.answers(ctx)
	c.bad.to = c.rec.Now()
	if err == nil {
		err = pass(ctx, c.plan.window)
	}
	return err
}

// upgradeSlowly upgrades to a version whose start takes a while.
func (c *course) upgradeSlowly(ctx context.Context) error {
	before := c.drops()
	c.slowly.from = c.rec.Now()
	err := c.replace(ctx, version{number: c.next(), start: c.plan.slow}, again+3*c.plan.slow)
	if err == nil {
		err = pass(ctx, c.plan.window)
	}
	c.slowly.to = c.rec.Now()
	c.dropped = c.drops() - before
	return err
}

// drops returns how many connections did not fit into the queue of a socket, in the
// machine so far.
func (c *course) drops() int {
	text, err := c.ReadProc(1, "net/netstat")
	if err != nil {
		return 0
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "TcpExt:") {
			continue
		}
		fields := strings.Fields(line)
		for i, name := range names {
			if name == "ListenDrops" && i < len(fields) {
				n := 0
				_, _ = fmt.Sscan(fields[i], &n) // 0 for a kernel with another format
				return n
			}
		}
		names = fields
	}
	return 0
}

// pass lets the load go on.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
