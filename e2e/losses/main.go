// Command losses upgrades a server repeatedly under the load of many kinds of clients and
// prints the losses of each kind as a table:
//
//	go run ./e2e/losses            # about six minutes
//	go run ./e2e/losses -n 100     # about half an hour
//
// The load is an open loop; requests are not idempotent, and none is sent twice. Each
// kind runs at the same time, before upgrades as well as during them. Then a server
// that restarts by the well-known recipe, a fork with the listeners inherited and
// http.Server.Shutdown, gets the same.
//
// The server runs under a booted systemd where that is possible, else alone and upgraded
// by SIGHUP. The exit status is 0 only if the server of this module has lost nothing.
//
// The table also shows the processor load without upgrades; -load 2 doubles it.
//
// Rows for other protocols come from programs that -also names, each a command line.
// Such a program prints, for each of its loads, a line of JSON as -json does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// A list is the values of a flag that may be repeated.
type list []string

func (l *list) String() string     { return fmt.Sprint(*l) }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

func main() {
	machine.Init()
	upgrades := flag.Int("n", 20, "`upgrades` of each server")
	kind := flag.String("manager", kinds[0], "what supervises the servers: systemd, alone, or auto for the first that works here")
	part := flag.Float64("load", 1, "`factor` of the load that keeps two cores 15 to 30 % busy, as fast as they are")
	only := flag.String("only", "", "one `server`, web (this module's) or recipe")
	asJSON := flag.Bool("json", false, "print the rows as lines of JSON")
	detail := flag.Bool("v", false, "print the figures of each run in full")
	var also list
	flag.Var(&also, "also", "a `command` that prints further rows; may be repeated")
	flag.Parse()
	if flag.NArg() > 0 || *upgrades < 1 || !slices.Contains(kinds, *kind) {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	p := plan{kind: *kind, upgrades: *upgrades, part: *part, window: whole, only: *only, also: also, log: os.Stderr, detail: *detail}
	t, err := p.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "losses:", errors.Join(err, context.Cause(ctx)))
		os.Exit(1)
	}
	if *asJSON {
		err = t.writeJSON(os.Stdout)
	} else {
		err = t.write(os.Stdout)
	}
	if err != nil || t.lost() > 0 {
		os.Exit(1)
	}
}
