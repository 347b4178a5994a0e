package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Reasons of excuses.
const (
	stopsAfterKill = "a kept connection of a process that stops because the main process was killed"
	stopsOnSignal  = "a kept connection of a process that stops on SIGTERM"
	stopsInRestart = "a kept connection of a process that stops in a restart"
	stopped        = "the service was stopped"
)

// excuseStop is the excuse of kept connections while processes stop. The caller ends it
// by settleStop.
func (c *chaosSite) excuseStop(sig syscall.Signal) *excuse {
	reason := stopsAfterKill
	if sig == syscall.SIGTERM {
		reason = stopsOnSignal
	}
	return c.excuses.begin(reason, keptAtStop)
}

// settleStop ends the excuse of a strike by sig, after which the process after serves.
// Unless that one was started by the manager, a kill has made no other process stop.
func (c *chaosSite) settleStop(e *excuse, sig syscall.Signal, after about) {
	if sig == syscall.SIGKILL && after.generation > 1 {
		c.excuses.withdraw(e)
		return
	}
	c.excuses.over(e)
}

// idleKill ends the main process while no upgrade is under way.
func (c *chaosSite) idleKill(sig syscall.Signal, trial time.Duration) string {
	c.Helper()
	c.order(chaosOrders{Trial: trial})
	before := c.settle()
	e := c.excuseStop(sig)
	c.strike(sig, before.pid)
	after := c.settleAfter(before)
	c.settleStop(e, sig, after)
	if after.generation != 1 {
		c.violate("%v serves after the death of %v and a restart", after, before)
	}
	return fmt.Sprintf("%v serves after %v", after, before)
}

// settleAfter is settle once the main process before has ended.
func (c *chaosSite) settleAfter(before about) about {
	c.Helper()
	if host := c.hostOf(before.pid); host != 0 && !c.awaitOne([]int{host}, patience) {
		c.violate("%v is still there", before)
	}
	return c.settle()
}

// reloadKill ends processes at the moment m of a reload.
func (c *chaosSite) reloadKill(who victims, sig syscall.Signal, m chaosMoment) string {
	c.Helper()
	var e *excuse
	after, result := c.inReload(m, reloadEither, func(main about, successor int) {
		pids := []int{main.pid, successor}
		switch who {
		case theSuccessor:
			pids = pids[1:]
		case theOld:
			pids = pids[:1]
		}
		e = c.excuseStop(sig)
		c.strike(sig, pids...)
	})
	c.settleStop(e, sig, after)
	return result
}

// drainKill ends processes so long after a good reload.
func (c *chaosSite) drainKill(who victims, sig syscall.Signal, after, trial time.Duration) string {
	c.Helper()
	before := c.settle()
	c.order(chaosOrders{Trial: trial})
	told := c.machine.Reload(c.ctx, unitName)
	now, err := c.tryAbout()
	if told != nil || err != nil || now.generation != before.generation+1 {
		c.violate("a good reload: %v, %v: %v serves after %v", told, err, now, before)
	}
	time.Sleep(after) // the plan's
	pids := map[victims][]int{theMain: {now.pid}, theOld: {before.pid}, bothOfThem: {now.pid, before.pid}}[who]
	if who == oldest {
		if pids = c.drainingNow(now.pid); len(pids) > 1 {
			pids = pids[:1]
		}
	}
	e := c.excuseStop(sig)
	c.strike(sig, pids...)
	if who == theMain || who == bothOfThem {
		last := c.settleAfter(now)
		c.settleStop(e, sig, last)
		return fmt.Sprintf("%v serves", last)
	}
	last := c.settle()
	c.excuses.over(e)
	if sig == syscall.SIGKILL {
		c.excuses.withdraw(e)
	}
	if last.pid != now.pid {
		c.violate("%v serves after the death of a process that drains, want %v", last, now)
	}
	return fmt.Sprintf("%v serves", last)
}

// freeze stops processes for a while at the moment m of a reload.
func (c *chaosSite) freeze(who victims, long time.Duration, m chaosMoment) string {
	c.Helper()
	_, result := c.inReload(m, reloadSucceeds, func(main about, successor int) {
		for _, pid := range map[victims][]int{theSuccessor: {successor}, theOld: {main.pid}, bothOfThem: {main.pid, successor}}[who] {
			if c.signal(pid, syscall.SIGSTOP) {
				defer c.signal(pid, syscall.SIGCONT)
			}
		}
		time.Sleep(long) // the plan's
	})
	return result
}

// freezeUnit freezes all processes of the unit, those of the reload command included.
func (c *chaosSite) freezeUnit(long time.Duration, m chaosMoment) string {
	c.Helper()
	file := c.root + "/sys/fs/cgroup/system.slice/" + unitName + "/cgroup.freeze"
	_, result := c.inReload(m, reloadSucceeds, func(about, int) {
		c.must(os.WriteFile(file, []byte("1"), 0))
		time.Sleep(long) // the plan's
		c.must(os.WriteFile(file, []byte("0"), 0))
	})
	return result
}

// restart restarts the service.
func (c *chaosSite) restart(trial time.Duration) string {
	c.Helper()
	c.order(chaosOrders{Trial: trial})
	before := c.settle()
	defer c.excuses.over(c.excuses.begin(stopsInRestart, keptAtStop))
	if err := c.machine.Restart(c.ctx, unitName); err != nil {
		c.violate("systemctl restart: %v", err)
	}
	after := c.settle()
	if after.generation != 1 || after.pid == before.pid {
		c.violate("%v serves after %v and a restart", after, before)
	}
	return fmt.Sprintf("%v serves after %v", after, before)
}

// restartInReload restarts the service at the moment m of a reload.
func (c *chaosSite) restartInReload(m chaosMoment) string {
	c.Helper()
	before := c.settle()
	told, _ := c.beginReload(m.orders())
	time.Sleep(m.after) // the plan's
	defer c.excuses.over(c.excuses.begin(stopsInRestart, keptAtStop))
	if err := c.machine.Restart(c.ctx, unitName); err != nil {
		c.violate("systemctl restart in a reload: %v", err)
	}
	result := <-told
	c.mend(m.trial)
	after := c.settle()
	if after.generation != 1 {
		c.violate("%v serves after %v and a restart", after, before)
	}
	return fmt.Sprintf("%s, %v serves", toldName(result), after)
}

// stopStart stops the service and starts it again, unless a connection to its socket
// unit has done so.
func (c *chaosSite) stopStart(pause time.Duration) string {
	c.Helper()
	defer c.excuses.over(c.excuses.begin(stopped, everything))
	if err := c.machine.Stop(c.ctx, unitName); err != nil {
		c.violate("systemctl stop: %v", err)
	}
	time.Sleep(pause) // the plan's
	if err := c.machine.Start(c.ctx, unitName); err != nil {
		c.violate("systemctl start: %v", err)
	}
	return c.settle().String() + " serves"
}

// commandName returns the name of the program that host runs, empty if it has ended.
func commandName(host int) string {
	text, _ := os.ReadFile(filepath.Join("/proc", fmt.Sprint(host), "comm")) // an error is the end of it
	return strings.TrimSpace(string(text))
}
