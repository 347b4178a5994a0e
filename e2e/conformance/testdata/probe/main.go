// Command probe is the daemon of the conformance suite: it does what a test tells
// it to, with the packages activation, notify and reexec as any program would.
//
// Its first argument is its role. As "door" it lets the test in, see door.go; as
// "upgrader" it leaves its descriptors to package reexec; any other name is only
// reported.
package main

import (
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	role := "main"
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	var err error
	if role == "door" {
		err = openDoor(os.Args[2])
	} else {
		err = run(role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(90)
	}
}

// run takes what was passed, says hello and obeys until it is told to exit or
// SIGTERM comes.
func run(role string) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGABRT)
	p, err := arrive(role)
	if err != nil {
		return err
	}
	for {
		select {
		case sig := <-signals:
			p.signalled(sig.(unix.Signal))
		case o, ok := <-p.orders:
			if !ok {
				return nil // the test has gone
			}
			p.say(p.obey(o))
		}
	}
}
