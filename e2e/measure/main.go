// Command measure measures this module beside a baseline in the same run:
//
//	go run ./e2e/measure losses   # requests that upgrades lose, beside a well-known recipe
//	go run ./e2e/measure speed    # costs of upgrades and of serving, beside the bare thing
//	go run ./e2e/measure compare  # ways to upgrade, of this module and of others
//
// Each has options; -h lists them. Figures of different machines do not compare, ratios do.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/measure/compare"
	"github.com/cutover-go/cutover/e2e/measure/losses"
	"github.com/cutover-go/cutover/e2e/measure/speed"
)

var commands = map[string]func(ctx context.Context, args []string, stdout, stderr io.Writer) int{
	"losses": losses.Command, "speed": speed.Command, "compare": compare.Command,
}

func main() {
	machine.Init()
	var run func(context.Context, []string, io.Writer, io.Writer) int
	if len(os.Args) > 1 {
		run = commands[os.Args[1]]
	}
	if run == nil {
		fmt.Fprintln(os.Stderr, "usage: measure losses|speed|compare [options]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[2:], os.Stdout, os.Stderr))
}
