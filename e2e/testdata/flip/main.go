// Command flip has the examples for HTTP in the documentation of tableflip, with another import
// path and a handler: the first example by default, and the one with Shutdown.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec/tableflip"
)

var version = "dev"

var (
	listenAddr = flag.String("listen", "localhost:8080", "`address` to listen on")
	pidFile    = flag.String("pid-file", "", "`path` of the PID file")
	shutdown   = flag.Bool("shutdown", false, "be the example with http.Server.Shutdown")
)

func main() {
	flag.Parse()
	if *shutdown {
		withShutdown()
	} else {
		first()
	}
}

// first is the example of the README of tableflip.
func first() {
	upg, _ := tableflip.New(tableflip.Options{PIDFile: *pidFile})
	defer upg.Stop()

	go func() {
		sig := make(chan os.Signal, 1)
		signal.Notify(sig, syscall.SIGHUP)
		for range sig {
			upg.Upgrade()
		}
	}()

	// Listen must be called before Ready
	ln, _ := upg.Listen("tcp", *listenAddr)
	defer ln.Close()

	answer(upg.Reexec().Generation())
	go http.Serve(ln, nil)

	if err := upg.Ready(); err != nil {
		panic(err)
	}

	<-upg.Exit()
}

// withShutdown is the example of http_example_test.go of tableflip.
func withShutdown() {
	upg, err := tableflip.New(tableflip.Options{
		PIDFile: *pidFile,
	})
	if err != nil {
		panic(err)
	}
	defer upg.Stop()

	// Do an upgrade on SIGHUP
	go func() {
		sig := make(chan os.Signal, 1)
		signal.Notify(sig, syscall.SIGHUP)
		for range sig {
			err := upg.Upgrade()
			if err != nil {
				log.Println("Upgrade failed:", err)
			}
		}
	}()

	// Listen must be called before Ready
	ln, err := upg.Listen("tcp", *listenAddr)
	if err != nil {
		log.Fatalln("Can't listen:", err)
	}

	answer(upg.Reexec().Generation())
	server := http.Server{
		// Set timeouts, etc.
	}

	go func() {
		err := server.Serve(ln)
		if err != http.ErrServerClosed {
			log.Println("HTTP server:", err)
		}
	}()

	log.Printf("ready")
	if err := upg.Ready(); err != nil {
		panic(err)
	}
	<-upg.Exit()

	time.AfterFunc(30*time.Second, func() {
		log.Println("Graceful shutdown timed out")
		os.Exit(1)
	})

	// Wait for connections to drain.
	server.Shutdown(context.Background())
}

// answer makes http.DefaultServeMux say which process answers.
func answer(generation int) {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // the load finds out about missing bytes
		time.Sleep(duration(r))
		fmt.Fprintf(w, "version=%s generation=%d pid=%d bytes=%d\n", version, generation, os.Getpid(), n)
	})
}

func duration(r *http.Request) time.Duration {
	d, _ := time.ParseDuration(r.URL.Query().Get("d")) // 0 if there is none
	return d
}
