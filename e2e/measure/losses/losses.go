// Package losses upgrades a server repeatedly under the load of many kinds of clients and
// prints the losses of each kind as a table:
//
//	go run ./e2e/measure losses            # about six minutes
//	go run ./e2e/measure losses -n 100     # about half an hour
//
// The load is an open loop; requests are not idempotent, and none is sent twice. Each
// kind runs at the same time, before upgrades as well as during them. Then a server
// that restarts by the well-known recipe, a fork with the listeners inherited and
// http.Server.Shutdown, gets the same.
//
// The server runs under a booted systemd where that is possible, else alone and upgraded
// by SIGHUP. Command returns 0 only if the server of this module has lost nothing.
//
// An upgrade starts a program, which takes processor time from the requests. With -beside
// the table has the p99.9 while the same program, bare and without clients, is restarted
// beside the server of this module. No way to upgrade can have a better one.
//
// The table also shows the processor load without upgrades; -load 2 doubles it.
//
// Rows for other protocols come from programs that -also names, each a command line.
// Such a program prints, for each of its loads, a line of JSON as -json does.
package losses

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"

	"github.com/cutover-go/cutover/e2e/internal/recorder"
)

// A list is the values of a flag that may be repeated.
type list []string

func (l *list) String() string     { return fmt.Sprint(*l) }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// Command measures as args say, and returns the exit status. The caller has called
// machine.Init.
func Command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("losses", flag.ContinueOnError)
	flags.SetOutput(stderr)
	upgrades := flags.Int("n", 20, "`upgrades` of each server")
	kind := flags.String("manager", kinds[0], "what supervises the servers: systemd, alone, or auto for the first that works here")
	part := flags.Float64("load", 1, "`factor` of the load that keeps two cores 15 to 30 % busy, as fast as they are")
	only := flags.String("only", "", "one `server`, web (this module's) or recipe")
	beside := flags.Bool("beside", false, "also restart the same program, bare and without clients, in windows without an upgrade: what any upgrade costs")
	asJSON := flags.Bool("json", false, "print the rows as lines of JSON")
	detail := flags.Bool("v", false, "print the figures of each run in full")
	report := flags.String("report", "", "write every request of the first server to a `file`: a page if it ends in .html, a picture of the first upgrade if it ends in .svg, else JSON")
	var also list
	flags.Var(&also, "also", "a `command` that prints further rows; may be repeated")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 || *upgrades < 1 || !slices.Contains(kinds, *kind) {
		flags.Usage()
		return 2
	}
	if *report != "" {
		if err := recorder.Writable(*report); err != nil {
			fmt.Fprintln(stderr, "losses:", err)
			return 2
		}
	}
	p := plan{kind: *kind, upgrades: *upgrades, part: *part, window: whole, beside: *beside, only: *only, also: also, report: *report, log: stderr, detail: *detail}
	t, err := p.run(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "losses:", errors.Join(err, context.Cause(ctx)))
		return 1
	}
	if *asJSON {
		err = t.writeJSON(stdout)
	} else {
		err = t.write(stdout)
	}
	if err != nil || t.lost() > 0 {
		return 1
	}
	return 0
}
