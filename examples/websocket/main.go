// Command websocket is a WebSocket server that is replaced while it runs. The connections of
// its clients move to the new process, with what the server knows of each client.
//
//	go build -C examples/websocket -o /usr/local/bin/cutover-websocket .
package main

import (
	"flag"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
	"github.com/cutover-go/cutover/units"
)

// restartSignal is SIGUSR2, RestartKillSignal= of the unit, by its number on Linux. With it
// connections move over a restart, too.
const restartSignal = syscall.Signal(12)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "units" {
		os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
	}
	addr := flag.String("addr", "127.0.0.1:8082", "bind this `address` if no socket named http was passed")
	drain := flag.Duration("drain", 0, "how long clients may take to leave after an upgrade (0: the default)")
	push := flag.Duration("push", 50*time.Millisecond, "push a message to each client in this interval")
	inPlace := flag.Bool("inplace", false, "replace the program in this process")
	flag.Parse()
	o := reexec.Options{RestartSignal: restartSignal, Drain: *drain}
	if *inPlace {
		o.Mode = "in-place"
	}
	os.Exit(reexec.Main(o,
		rehttp.Service("http", *addr, &http.Server{Handler: handler(*push)})))
}

// daemon describes the program; its units are made from it.
func daemon() units.Daemon {
	return units.Daemon{
		Name: "cutover-websocket", Description: "Cutover example WebSocket server", Binary: "/usr/local/bin/cutover-websocket",
		Sockets:   []units.Socket{{Name: "http", Listen: []string{"127.0.0.1:8082"}}},
		Conns:     1000, // two entries of the fd store for each client at a restart
		Hardening: units.Strict,
	}
}
