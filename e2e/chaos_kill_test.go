package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// strike sends sig to processes at the same time. Those that get SIGKILL are stopped
// before, so that the connections that die with them are known. The main process dies
// last: at its death the manager continues the others.
func (c *chaosSite) strike(sig syscall.Signal, pids ...int) {
	c.Helper()
	if sig != syscall.SIGKILL {
		for _, pid := range pids {
			c.signal(pid, sig)
		}
		return
	}
	var hosts []int
	for _, pid := range pids {
		if host := c.hostOf(pid); host != 0 && c.signal(pid, syscall.SIGSTOP) {
			c.awaitStopped(host)
			hosts = append(hosts, host)
		}
	}
	sockets, _, err := c.socketsOf(hosts)
	c.must(err)
	e := c.excuses.add(&excuse{reason: hadByKilled, covers: killedConnection, from: time.Now(), sockets: sockets, pids: pids})
	if main := slices.Index(pids, c.mainPID()); main >= 0 {
		pids = append(slices.Delete(slices.Clone(pids), main, main+1), pids[main])
	}
	for _, pid := range pids {
		c.signal(pid, syscall.SIGKILL)
	}
	for _, host := range hosts {
		c.awaitOne([]int{host}, patience)
	}
	c.excuses.over(e)
}

// Reasons of excuses.
const (
	hadByKilled = "a killed process had the connection"
	hadByDead   = "a process that died by itself had the connection"
)

// witness notes the connections of processes that are about to die by themselves, lets
// them die, and ends with the site.
func (c *chaosSite) witness(names <-chan string) {
	for name := range names {
		number, dying := strings.CutPrefix(name, "dying-")
		pid, err := strconv.Atoi(number)
		if !dying || err != nil {
			continue
		}
		if host := c.hostOf(pid); host != 0 {
			c.awaitStopped(host)
			stopped := time.Now() // connections opened from here on may be missing below
			sockets, queued, err := c.socketsOf([]int{host})
			if err != nil {
				c.Error(err)
			}
			for _, client := range queued {
				sockets[client] = true
			}
			e := c.excuses.add(&excuse{reason: hadByDead, covers: killedConnection, from: stopped, sockets: sockets, accepts: true, pids: []int{pid}})
			_ = c.machine.Signal(pid, syscall.SIGCONT) // a step may have killed it
			for began := time.Now(); c.hostOf(pid) == host && time.Since(began) < patience; {
				time.Sleep(time.Millisecond) // until it is gone
			}
			c.excuses.over(e)
		}
	}
}

// signal sends sig, and reports whether the process was there.
func (c *chaosSite) signal(pid int, sig syscall.Signal) bool {
	c.Helper()
	err := c.machine.Signal(pid, sig)
	if errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	c.must(err)
	return true
}

// awaitStopped waits until no thread of a process runs. The state of the process is that
// of its first thread alone: another one may still accept a connection.
func (c *chaosSite) awaitStopped(host int) {
	c.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(time.Millisecond) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", host))
		c.must(err)
		if !slices.ContainsFunc(threads, runs) {
			return
		}
	}
	c.Errorf("process %d does not stop", host)
}

// runs reports whether the thread that a status file of /proc describes is neither stopped
// nor ended.
func runs(file string) bool {
	status, err := os.ReadFile(file)
	_, state, found := strings.Cut(string(status), "\nState:\t")
	return err == nil && found && !strings.ContainsAny(state[:1], "TtZX")
}

// socketsOf returns the client addresses of the connections that end with the processes
// dying: their own connections, and those on their way between two processes. queued has
// the connections that no process has accepted.
func (c *chaosSite) socketsOf(dying []int) (clients map[string]bool, queued []string, err error) {
	init, err := c.machine.HostPID(1)
	if err != nil {
		return nil, nil, err
	}
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/tcp", init))
	if err != nil {
		return nil, nil, err
	}
	survive, die := map[string]bool{}, map[string]bool{}
	collectSockets(survive, init)
	for host := range c.processes() {
		collectSockets(survive, host)
	}
	for _, host := range dying {
		collectSockets(die, host)
	}
	accepted, queued := serverSockets(string(table))
	clients = map[string]bool{}
	for socket, client := range accepted {
		if die[socket] || !survive[socket] {
			clients[client] = true
		}
	}
	return clients, queued, nil
}

// collectSockets adds the names of the descriptors of a process, unless it has ended.
func collectSockets(into map[string]bool, host int) {
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", host)) // the pattern is well-formed
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil {
			into[to] = true
		}
	}
}
