// Command prove reloads a service of this machine under load and counts the lost requests:
//
//	go run ./e2e/prove -unit myapp.service -address http://127.0.0.1:8080/healthz -n 10
//
// It runs `systemctl reload` and nothing else that changes the machine, and it asks
// before. The requests are GET, at a constant rate, on kept and on new connections. None
// is sent twice. The exit status is 0 if no request was lost and each reload succeeded, 1
// if not, 2 if the service cannot be tested.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/digest"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// The exit statuses.
const (
	proven = iota
	refuted
	untested
)

// An order is the values of the flags.
type order struct {
	unit, address string
	reloads       int
	rate          float64
	window        time.Duration
	yes           bool
	report        string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// command returns the exit status.
func command(ctx context.Context, args []string, in io.Reader, out, stderr io.Writer) int {
	var o order
	flags := flag.NewFlagSet("prove", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.unit, "unit", "", "the `service`")
	flags.StringVar(&o.address, "address", "", "a `URL` of the service that answers GET, http or https")
	flags.IntVar(&o.reloads, "n", 5, "`reloads`")
	flags.Float64Var(&o.rate, "rate", 100, "`requests` a second on kept connections, and as many on new ones")
	flags.DurationVar(&o.window, "window", 3*time.Second, "`time` from one reload to the next")
	flags.BoolVar(&o.yes, "yes", false, "reload without a question")
	flags.StringVar(&o.report, "report", "", recorder.Usage)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return proven
	case err != nil:
		return untested
	}
	if err := o.check(flags.Args()); err != nil {
		fmt.Fprintf(stderr, "prove: %v; prove -h says more\n", err)
		return untested
	}
	status, err := prove(ctx, o, in, out, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "prove:", errors.Join(err, context.Cause(ctx)))
	}
	return status
}

// maxRate is more than the load of one process can send.
const maxRate = 100_000

// check returns an error for values that make no test. more are arguments that are no flags.
func (o order) check(more []string) error {
	switch {
	case len(more) > 0:
		return fmt.Errorf("%q is no option", more[0])
	case o.unit == "":
		return errors.New("-unit is missing: the name of the service")
	case o.address == "":
		return errors.New("-address is missing: a URL of the service, such as http://127.0.0.1:8080/")
	case o.reloads < 1:
		return fmt.Errorf("-n %d: at least one reload is needed", o.reloads)
	case !(o.rate > 0 && o.rate <= maxRate):
		return fmt.Errorf("-rate %v: more than 0 and at most %d requests a second", o.rate, maxRate)
	case o.window <= 0:
		return fmt.Errorf("-window %v: a time such as 3s", o.window)
	case o.report != "":
		return recorder.Writable(o.report)
	}
	return nil
}

// prove tests the service and prints the result.
func prove(ctx context.Context, o order, in io.Reader, out, stderr io.Writer) (int, error) {
	s, err := find(ctx, o.unit)
	if err != nil {
		return untested, err
	}
	l, err := aim(ctx, o)
	if err != nil {
		return untested, err
	}
	if !o.yes && !asked(in, out, fmt.Sprintf("Reload %s %d times while %.0f requests a second go to %s? [y/N] ", s.unit, o.reloads, 2*o.rate, o.address)) {
		return untested, errors.New("nothing was reloaded; -yes reloads without a question")
	}
	c := &course{order: o, service: s, bar: stderr}
	if err := c.follow(ctx, l); err != nil {
		return untested, err
	}
	report := c.record.Report()
	status := c.print(out, report)
	if o.report != "" {
		if err := recorder.Write(ctx, o.report, report); err != nil {
			return untested, err
		}
	}
	return status, nil
}

// print prints the result and returns the exit status.
func (c *course) print(out io.Writer, report *record.Report) int {
	unit := c.service.unit
	d := digest.Of(report)
	fmt.Fprint(out, d)
	for _, e := range report.Events {
		if e.Error != "" {
			fmt.Fprintf(out, "reload at %.1f s: %s\n", e.At.Seconds(), e.Error)
		}
	}
	if c.same > 0 {
		fmt.Fprintf(out, "%d of %d reloads left the main process as it was: is the reload of %s an upgrade?\n", c.same, c.reloads, unit)
	}
	if d.Lost > 0 || d.Undone > 0 {
		fmt.Fprintf(out, "FAILED: %s loses requests, or does not reload\n", unit)
		return refuted
	}
	fmt.Fprintf(out, "ok: %s was reloaded %d times and lost nothing\n", unit, c.reloads)
	return proven
}

// asked reports whether the answer is yes.
func asked(in io.Reader, out io.Writer, question string) bool {
	fmt.Fprint(out, question)
	line, _ := bufio.NewReader(in).ReadString('\n') // no answer is a no
	fmt.Fprintln(out)
	line = strings.ToLower(strings.TrimSpace(line))
	return line == "y" || line == "yes"
}
