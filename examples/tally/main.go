// Command tally is a server of sessions that outlive its processes. A client sends
// numbers, a line each, and is told the sum after each:
//
//	$ nc 127.0.0.1 7070
//	20
//	20
//	22
//	42
//
// The sum belongs to the connection, and the connection outlives each process: `systemctl
// reload` moves it to the new program, together with a partly read line; after
// `systemctl restart` or a crash it comes back from systemd's fd store. Its units are in the folder units.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/units"
)

const (
	listener = "tally"   // the name of the socket
	format   = "tally/1" // of the data of a moved session
)

func main() {
	run := serve
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "reload": // ExecReload=
			run = reexec.Reload
		case "units":
			os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
		}
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// daemon describes the program; its units are made from it. Each session needs two
// entries in the fd store.
func daemon() units.Daemon {
	return units.Daemon{
		Name: "cutover-tally", Description: "Cutover example of sessions",
		Sockets:   []units.Socket{{Name: listener, Listen: []string{"127.0.0.1:7070"}}},
		Binds:     1024,
		Hardening: units.Strict,
	}
}

func serve(ctx context.Context) (err error) {
	u, err := reexec.New(reexec.Options{Signals: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	ln, err := u.Listen(ctx, listener, "tcp", "127.0.0.1:7070")
	if err != nil {
		return err
	}
	if err := u.Receive(listener, format); err != nil {
		return err
	}
	left, err := reclaim(u)
	if err != nil {
		return err
	}
	if err := u.Ready(ctx); errors.Is(err, reexec.ErrStopped) {
		return nil // asked to end before it was ready, or only tried before an upgrade in place
	} else if err != nil {
		return err
	}
	for _, s := range left {
		go s.run(u.Hold()) // ends with the session, or this process
	}
	go accept(u, ln) // ends when u closes ln
	return u.Drain(ctx)
}

func accept(u *reexec.Upgrader, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err) // no descriptor is free, say: clients wait
			continue
		}
		release := u.Hold()
		s, err := open(u, c)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			_ = c.Close() // the next attempt may find us better
			release()
			continue
		}
		go s.run(release) // as in serve
	}
}
