// Command tableflip is a web server that is upgraded by github.com/cloudflare/tableflip,
// as its documentation says: the example for HTTP, with PIDFile= in the unit.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloudflare/tableflip"

	"github.com/cutover-go/cutover/e2e/internal/target"
)

var (
	addr     = flag.String("addr", "127.0.0.1:8080", "`address` of the server")
	settings = flag.String("settings", "", "`file` of the settings")
	pidFile  = flag.String("pidfile", "", "`file` for the PID")
	sockets  = flag.Int("sockets", 0, "number of unix `listeners` without a server, whose names begin with -addr")
)

func main() {
	flag.Parse()
	run := serve
	if *sockets > 0 {
		run = func() error { return hold(*sockets, *addr) }
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	upg, err := tableflip.New(tableflip.Options{PIDFile: *pidFile})
	if err != nil {
		return err
	}
	defer upg.Stop()
	go upgradeOnHangup(upg) // ends with the process
	ln, err := upg.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	s, err := target.Begin(*settings)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: target.Handler(fmt.Sprintf("v%d", s.Version), s.Version, func() func() { return func() {} })}
	go func() { // ends with Shutdown
		if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Println("HTTP server:", err)
		}
	}()
	if err := upg.Ready(); err != nil {
		return err
	}
	<-upg.Exit()
	time.AfterFunc(30*time.Second, func() {
		log.Println("graceful shutdown timed out")
		os.Exit(1)
	})
	return server.Shutdown(context.Background())
}

func upgradeOnHangup(upg *tableflip.Upgrader) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	for range hangup {
		if err := upg.Upgrade(); err != nil {
			log.Println("upgrade failed:", err)
		}
	}
}
