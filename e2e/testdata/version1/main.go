// Command version1 is a web server that speaks version 1 of the protocol between
// generations, written from its documentation and without the library. As long as it
// can take over from the library and hand over to it, version 1 has not changed.
//
// It can also play a program that the library must not trust, see manner.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
)

// version is v1 or, for one with peculiar manners, such as v1-chatty.
var version = "v1"

// manner is the part of version after the dash:
//
//	chatty          adds unknown hints and fields
//	liar            always says that the manager is its parent
//	speaks2         knows version 2 of the protocol alone
//	unintelligible  sends an unknown message that is no hint
var manner = func() string { _, m, _ := strings.Cut(version, "-"); return m }()

// A generation is this process in the row of those that serve.
type generation struct {
	number int
	web    *web
	door   *door // of the listener
	before *line // to the predecessor, nil if there is none

	entries []entry      // the descriptors of the program by name
	files   []*os.File   // the same
	saved   message      // state of another program, kept for a later one
	older   atomic.Int64 // generations before this one that are not gone
}

func main() {
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	g := &generation{number: 1}
	if err := g.run(terminate); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (g *generation) run(terminate <-chan os.Signal) error {
	control, err := listenControl()
	if err != nil {
		return err
	}
	if os.Getenv("CUTOVER_LINE") != "" {
		err = g.succeed()
	} else {
		err = g.begin()
	}
	if err != nil {
		return err
	}
	if err := control.publish(); err != nil {
		return err
	}
	go g.hearPredecessor() // ends when that one is gone, or with the process
	for {
		select {
		case c := <-control.asked:
			next, err := g.replace()
			c.answer(g.number+1, err)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				continue
			}
			g.web.drain(terminate)
			return g.leave(next)
		case <-terminate:
			g.door.shut()
			g.web.drain(terminate)
			return nil
		}
	}
}

// begin is the start of the first generation: systemd passes the listener, and may
// pass what another program has stored.
func (g *generation) begin() error {
	for i, name := range strings.Split(os.Getenv("LISTEN_FDNAMES"), ":") {
		f := os.NewFile(uintptr(3+i), name)
		if f == nil || name != "http" {
			f.Close()
			continue
		}
		syscall.CloseOnExec(3 + i)
		g.entries = append(g.entries, entry{Name: name, Origin: "unit"})
		g.files = append(g.files, f)
	}
	for _, name := range []string{"LISTEN_FDS", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	if err := g.serve(); err != nil {
		return err
	}
	g.door.open()
	return tellManager("READY=1", nil)
}
