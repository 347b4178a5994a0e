package e2e

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// reloadStep reloads to a program that begins as o says.
func (c *chaosSite) reloadStep(o chaosOrders, want reloadResult) string {
	c.Helper()
	before := c.settle()
	c.prepare(o)
	told := c.machine.Reload(c.ctx, unitName)
	c.mend(o.Trial)
	return c.judge(told, want, before, c.settle())
}

// lateMargin bounds the delay of an ordered death on a busy machine.
const lateMargin = time.Second

// lateDeath reloads to a program that dies, or declines, while it serves. Within the
// trial that undoes the upgrade; later it is the death of a main process.
func (c *chaosSite) lateDeath(o chaosOrders) string {
	c.Helper()
	before := c.settle()
	c.prepare(o)
	e := c.excuses.begin("a kept connection of a process that stops because the main process has failed", keptAtStop)
	told := c.machine.Reload(c.ctx, unitName)
	c.mend(o.Trial)
	want := reloadEither
	if before.trial > o.Wait+lateMargin {
		want = reloadFails
	} else {
		c.awaitDeath(before)
	}
	after := c.settle()
	c.excuses.over(e)
	if after.pid == before.pid { // the upgrade was undone, and no process has stopped
		c.excuses.withdraw(e)
	}
	return c.judge(told, want, before, after)
}

// awaitDeath waits until the successor of before is gone: a late death may come after
// the reload.
func (c *chaosSite) awaitDeath(before about) {
	c.Helper()
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		hosts := c.processes()
		var others []int
		for host, pid := range hosts {
			if pid > before.pid {
				others = append(others, host)
			}
		}
		if len(others) == 0 || c.awaitOne(others, time.Second) {
			return
		}
	}
}

// beginReload begins a reload to o, and returns when its successor was started; with 0
// where none is seen.
func (c *chaosSite) beginReload(o chaosOrders) (told <-chan error, successor int) {
	c.Helper()
	known := c.processes()
	c.prepare(o)
	result := make(chan error, 1)
	ended := make(chan struct{})
	go func() { // ends with the command
		result <- c.machine.Reload(c.ctx, unitName)
		close(ended)
	}()
	for {
		for host, pid := range c.processes() {
			if known[host] == 0 && c.isServer(host) {
				return result, pid
			}
		}
		select {
		case <-ended:
			return result, 0
		case <-time.After(time.Millisecond): // a cgroup does not tell of its new processes
		}
	}
}

// isServer reports whether the process host runs the program: a child of the manager
// does not before its execve.
func (c *chaosSite) isServer(host int) bool { return commandName(host) == "cutover-http" }

// inReload begins a reload, does what at is at the moment m, and judges the result.
func (c *chaosSite) inReload(m chaosMoment, want reloadResult, at func(main about, successor int)) (after about, judged string) {
	c.Helper()
	before := c.settle()
	told, successor := c.beginReload(m.orders())
	time.Sleep(m.after) // the moment that the plan gives
	at(before, successor)
	result := <-told
	c.mend(m.trial)
	after = c.settle()
	return after, c.judge(result, want, before, after)
}

// managerCommand has systemctl do something else during a reload.
func (c *chaosSite) managerCommand(args string, m chaosMoment) string {
	c.Helper()
	want := reloadSucceeds
	if args == "daemon-reexec" { // the reload command loses its connection to the manager
		want = reloadEither
	}
	_, result := c.inReload(m, want, func(about, int) {
		if err := c.systemctl(strings.Fields(args)...); err != nil && want != reloadEither {
			c.violate("%s: %v", args, err)
		}
	})
	return result
}

func (c *chaosSite) systemctl(args ...string) error {
	_, err := c.machine.Run(c.ctx, "systemctl", args...)
	return err
}

// chaosStorm is many requests for an upgrade at once.
type chaosStorm struct {
	jobs, commands, hangups int
	trial                   time.Duration
}

// run starts all of it, and counts: each command that succeeds has its own upgrade.
func (s chaosStorm) run(c *chaosSite) string {
	c.Helper()
	before := c.settle()
	c.order(chaosOrders{Trial: s.trial})
	jobs, commands := make(chan error, s.jobs), make(chan error, s.commands)
	for range s.jobs {
		go func() { jobs <- c.machine.Reload(c.ctx, unitName) }() // joined below, as the next
	}
	for range s.commands {
		go func() { commands <- c.directReload(before.pid) }()
	}
	for range s.hangups {
		c.signal(before.pid, syscall.SIGHUP)
	}
	job, done := 0, 0
	for range s.jobs {
		if <-jobs == nil {
			job = 1 // the manager merges them
		}
	}
	var refused error
	for range s.commands {
		if err := <-commands; err == nil {
			done++
		} else {
			refused = err
		}
	}
	after := c.settleAfterSignals()
	c.mend(s.trial)
	if upgrades := after.generation - before.generation; upgrades < done || upgrades < job || s.hangups == 0 && upgrades > s.jobs+done {
		c.violate("%d commands and %d jobs have succeeded, and generation %d serves after %d", done, job, after.generation, before.generation)
	}
	return fmt.Sprintf("%d commands have succeeded, %v serves; the last refusal: %v", done, after, refused)
}

// directReload runs the reload command as systemd does, beside it.
func (c *chaosSite) directReload(pid int) error {
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	cmd := c.machine.Command(ctx, "/usr/local/bin/cutover-ctl", "reload")
	cmd.Env = append(cmd.Env, "RUNTIME_DIRECTORY=/run/cutover-http", fmt.Sprintf("MAINPID=%d", pid))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// settleAfterSignals is settle once no upgrade is under way that a signal has begun.
func (c *chaosSite) settleAfterSignals() about {
	c.Helper()
	for began := time.Now(); time.Since(began) < patience; {
		if _, status := c.unit(); !strings.Contains(status, "upgrading") {
			break
		}
	}
	return c.settle()
}

// hangupTerm asks for an upgrade twice and for the end.
func (c *chaosSite) hangupTerm(after time.Duration) string {
	c.Helper()
	before := c.settle()
	defer c.excuses.over(c.excuses.begin(stopsOnSignal, keptAtStop))
	told := make(chan error, 1)
	c.signal(before.pid, syscall.SIGHUP)
	go func() { told <- c.machine.Reload(c.ctx, unitName) }() // joined below
	time.Sleep(after)                                         // the plan's
	c.signal(before.pid, syscall.SIGTERM)
	result := <-told
	return fmt.Sprintf("%s, %v serves", toldName(result), c.settle())
}

// drainingNow returns the processes of the unit that are not main, oldest first.
func (c *chaosSite) drainingNow(main int) (pids []int) {
	c.Helper()
	for host, pid := range c.processes() {
		if pid != main && c.isServer(host) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
