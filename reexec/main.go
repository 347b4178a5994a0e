package reexec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

// Main is a whole program: it runs services until the process was replaced or stopped, and
// returns the exit status for os.Exit.
//
//	func main() {
//		os.Exit(reexec.Main(reexec.Options{},
//			rehttp.Service("http", ":8080", &http.Server{Handler: mux}),
//			rehttp.Service("metrics", "127.0.0.1:9090", &http.Server{Handler: metrics}),
//			reexec.Stream("smtp", ":25", smtpServer.Serve),
//			reexec.Packet("dns", ":53", serveUDP),
//		))
//	}
//
// If the first argument of the program is "reload", Main calls [Reload] instead, for the
// unit's ExecReload=. If it is "status", Main prints the [Report] of the main process. A
// program with other commands calls [Run] and offers Reload and Status itself.
//
// The arguments of Main are made in these commands, too. A program that opens files or
// databases does that in a [ServiceFunc], which is called only in a process that serves.
//
// Main prints an error to standard error and returns 1. It returns 0 in the cases in which
// Run returns nil.
func Main(o Options, services ...Service) int {
	ctx := context.Background()
	var err error
	switch command() {
	case "reload":
		err = Reload(ctx)
	case "status":
		var r Report
		if r, err = Status(ctx); err == nil {
			fmt.Println(r)
		}
	default:
		err = Run(ctx, o, services...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// command returns the first argument of the program, "" if there is none.
func command() string {
	if len(os.Args) < 2 {
		return ""
	}
	return os.Args[1]
}

// Run is [Main] for a program with its own commands and exit status: it calls New, the
// [Upgrader.Serve] of services, and Close. A nil Options.Logger means slog.Default, so
// that undone upgrades and cut work are logged.
func Run(ctx context.Context, o Options, services ...Service) (err error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	u, err := New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	return u.Serve(ctx, services...)
}
