package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
)

// A next is the generation after this one.
type next struct {
	*line
	pid   int
	pidfd *os.File
}

// replace starts the program that lies at our path now and makes it the main
// process. If that fails, this one serves on.
func (g *generation) replace() (*next, error) {
	if err := tellManager(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic()), nil); err != nil {
		return nil, err
	}
	n, err := start()
	if err == nil {
		err = g.handOver(n)
		if err != nil {
			syscall.Kill(n.pid, syscall.SIGKILL)
			n.hear() // returns when it is gone
		}
	}
	if err != nil {
		g.door.open()
		tellManager("READY=1\nSTATUS=upgrade undone", nil)
		return nil, err
	}
	return n, g.commit(n)
}

// start starts a successor as a child of our parent, the manager.
func start() (*next, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	defer theirs.Close()
	l, err := newLine(os.NewFile(uintptr(pair[0]), "ours"))
	if err != nil {
		return nil, err
	}
	pidfd := -1
	pid, err := syscall.ForkExec(os.Args[0], os.Args, &syscall.ProcAttr{
		Env:   append(slices.DeleteFunc(os.Environ(), ofThisProcess), "CUTOVER_LINE=3"),
		Files: []uintptr{0, 1, 2, theirs.Fd()},
		Sys:   &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT, PidFD: &pidfd},
	})
	if err != nil {
		return nil, err
	}
	return &next{l, pid, os.NewFile(uintptr(pidfd), "pidfd")}, nil
}

func ofThisProcess(variable string) bool { return strings.HasPrefix(variable, "SYSTEMD_EXEC_PID=") }

// handOver is the exchange up to Serving.
func (g *generation) handOver(n *next) error {
	theirs, err := n.greet(body{PID: os.Getpid(), PPID: os.Getppid(), Generation: g.number})
	if err != nil {
		return err
	}
	if theirs.PID != n.pid || theirs.PPID != os.Getppid() {
		return fmt.Errorf("process %d of %d answers, want %d of %d", theirs.PID, theirs.PPID, n.pid, os.Getppid())
	}
	if err := n.say(descriptors, body{Entries: g.entries, Last: true}, g.files...); err != nil {
		return err
	}
	for _, kind := range []byte{received, ready} {
		if _, err := n.expect(kind); err != nil {
			return err
		}
	}
	g.door.shut()
	if err := n.say(states, body{Names: g.saved.Names, Stored: g.saved.Stored}, g.saved.files...); err != nil {
		return err
	}
	if err := n.say(goAhead, body{}); err != nil {
		return err
	}
	_, err = n.expect(serving)
	return err
}

// commit makes the successor the unit's main process.
func (g *generation) commit(n *next) error {
	if err := n.say(committing, body{}); err != nil {
		return err
	}
	if err := tellManager(fmt.Sprintf("MAINPID=%d\nREADY=1\nSTATUS=generation %d serves", n.pid, g.number+1), nil); err != nil {
		return err
	}
	if err := barrier(); err != nil {
		return err
	}
	if err := n.say(committed, body{}); err != nil {
		return err
	}
	if err := n.say(draining, body{Generations: int(g.older.Load()) + 1}); err != nil {
		return err
	}
	if g.before != nil {
		g.before.say(superseded, body{}) // an error says that it is gone
	}
	return nil
}

// leave gives a predecessor that may still drain the line to our successor.
func (g *generation) leave(n *next) error {
	if g.before == nil {
		return nil
	}
	end, err := n.conn.File()
	if err != nil {
		return err
	}
	if err := g.before.say(goodbye, body{PID: n.pid}, n.pidfd, end); err != nil && !over(err) && !gone(err) {
		return err
	}
	return nil
}
