// Command recipe is a server that restarts as it is usually told: on SIGHUP it starts
// the program again with its listeners inherited; the new process serves and sends
// SIGTERM to the old one, which calls http.Server.Shutdown, waits for that and exits.
// It is here to be compared with.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/target"
)

var version = "dev"

var (
	plain    = flag.String("addr", "127.0.0.1:8080", "`address` for HTTP")
	secure   = flag.String("tls", "127.0.0.1:8443", "`address` for HTTPS")
	certFile = flag.String("cert", "", "certificate, a `file`")
	keyFile  = flag.String("key", "", "its key, a `file`")
	drain    = flag.Duration("drain", 30*time.Second, "how long Shutdown may take")
)

// generationEnv is set in a process that inherits.
const generationEnv = "RECIPE_GENERATION"

func main() {
	flag.Parse()
	if err := serve(); err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	generation, _ := strconv.Atoi(os.Getenv(generationEnv)) // 0 without one
	listeners, err := listen(generation > 0)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: target.Handler(version, generation+1, func() func() { return func() {} })}
	served := make(chan error, 2)
	go func() { served <- srv.Serve(listeners[0]) }()
	go func() { served <- srv.ServeTLS(listeners[1], *certFile, *keyFile) }()
	if err := tell(generation); err != nil {
		return err
	}
	for {
		select {
		case err := <-served:
			return err
		case s := <-signals:
			if s == syscall.SIGTERM {
				ctx, cancel := context.WithTimeout(context.Background(), *drain)
				defer cancel()
				return srv.Shutdown(ctx)
			}
			if err := restart(listeners, generation+1); err != nil {
				log.Print(err)
			}
		}
	}
}

// listen binds, or takes the inherited listeners.
func listen(inherited bool) (ls []net.Listener, err error) {
	for i, addr := range []string{*plain, *secure} {
		var ln net.Listener
		if inherited {
			ln, err = net.FileListener(os.NewFile(uintptr(3+i), addr))
		} else {
			ln, err = net.Listen("tcp", addr)
		}
		if err != nil {
			return nil, err
		}
		ls = append(ls, ln)
	}
	return ls, nil
}

func restart(listeners []net.Listener, generation int) error {
	cmd := exec.Command(os.Args[0], os.Args[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprint(generationEnv, "=", generation))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	for _, ln := range listeners {
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			return err
		}
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	return cmd.Start()
}

// tell tells the manager, if there is one, and then the process before.
func tell(generation int) error {
	if name := os.Getenv("NOTIFY_SOCKET"); name != "" {
		c, err := net.Dial("unixgram", name)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := fmt.Fprintf(c, "READY=1\nMAINPID=%d", os.Getpid()); err != nil {
			return err
		}
	}
	if generation == 0 {
		return nil
	}
	if pid := os.Getppid(); pid > 1 {
		return syscall.Kill(pid, syscall.SIGTERM)
	}
	return errors.New("the process before has gone")
}
