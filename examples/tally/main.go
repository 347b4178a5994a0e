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
	if len(os.Args) > 1 && os.Args[1] == "units" {
		os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
	}
	os.Exit(reexec.Main(reexec.Options{}, reexec.ServiceFunc(listen)))
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

func listen(ctx context.Context, u *reexec.Upgrader) (serve func(context.Context) error, err error) {
	ln, err := u.Listen(ctx, listener, "tcp", "127.0.0.1:7070")
	if err != nil {
		return nil, err
	}
	if err := u.Receive(listener, format); err != nil {
		return nil, err
	}
	left, err := reclaim(u)
	return func(context.Context) error {
		for _, s := range left {
			go s.run(u.Hold()) // ends with the session, or this process
		}
		accept(u, ln)
		return nil
	}, err
}

// accept returns when this generation has drained.
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
		go s.run(release) // as in listen
	}
}
