// Command ways is one web server that is upgraded in several ways, so that a comparison
// of the ways compares nothing else:
//
//	ways -way overlap     this module, the default mode
//	ways -way inplace     this module, execve in the same process
//	ways -way restart     net/http, Shutdown at SIGTERM
//	ways -way reuseport   the same with SO_REUSEPORT on its socket
//	ways -way exec        net/http, execve with the listening socket at SIGHUP
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/internal/target"
	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

const shutdown = 10 * time.Second // the most that a server takes for its last answers

// socketEnv names the inherited listening socket of -way exec.
const socketEnv = "WAYS_SOCKET"

var (
	way      = flag.String("way", "", "overlap, inplace, restart, reuseport or exec")
	addr     = flag.String("addr", "127.0.0.1:8080", "`address` of the server")
	settings = flag.String("settings", "", "`file` of the settings")
)

func main() {
	run := serve
	if len(os.Args) > 1 && os.Args[1] == "reload" {
		run = reexec.Reload
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	flag.Parse()
	switch *way {
	case "overlap":
		return upgradable(ctx, reexec.Options{})
	case "inplace":
		return upgradable(ctx, reexec.Options{Mode: "in-place"})
	case "restart", "reuseport", "exec":
		return plain(ctx)
	}
	return fmt.Errorf("-way %s: unknown", *way)
}

func upgradable(ctx context.Context, o reexec.Options) (err error) {
	u, err := reexec.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	ln, err := u.Listen(ctx, "http", "tcp", *addr)
	if err != nil {
		return err
	}
	s, err := target.Begin(*settings)
	if err != nil {
		return err
	}
	return rehttp.Serve(ctx, u, &http.Server{Handler: handler(s, u.Hold)}, ln)
}

func handler(s target.Settings, hold func() func()) http.Handler {
	return target.Handler(fmt.Sprintf("v%d", s.Version), s.Version, hold)
}

// plain serves as many servers do. The settings are read first, as most servers do.
func plain(ctx context.Context) error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	s, err := target.Begin(*settings)
	if err != nil {
		return err
	}
	ln, err := listen(ctx)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler(s, func() func() { return func() {} })}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }() // ends with the server, or with the process
	if err := ready(); err != nil {
		return err
	}
	for {
		select {
		case err := <-served:
			return err
		case sig := <-signals:
			if sig == syscall.SIGTERM {
				ctx, cancel := context.WithTimeout(ctx, shutdown)
				defer cancel()
				return srv.Shutdown(ctx)
			}
			if err := replace(ln); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
	}
}

// listen takes the socket of the manager or of the program before, or binds one.
func listen(ctx context.Context) (net.Listener, error) {
	number := 0
	if os.Getenv("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		number = 3
	}
	if text := os.Getenv(socketEnv); text != "" {
		number, _ = strconv.Atoi(text) // the program before wrote it
	}
	if number > 0 {
		f := os.NewFile(uintptr(number), "socket")
		defer f.Close()
		return net.FileListener(f)
	}
	var config net.ListenConfig
	if *way == "reuseport" {
		config.Control = func(_, _ string, c syscall.RawConn) (err error) {
			cerr := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
			return errors.Join(cerr, err)
		}
	}
	return config.Listen(ctx, "tcp", *addr)
}

// replace executes the program that is on disk now, in this process, with the listening
// socket. It returns only if that fails. The connections end with this program.
func replace(ln net.Listener) error {
	if *way != "exec" {
		return fmt.Errorf("-way %s knows no SIGHUP", *way)
	}
	rc, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	var number int
	cerr := rc.Control(func(fd uintptr) { number, err = unix.Dup(int(fd)) }) // a copy without close-on-exec
	if err := errors.Join(cerr, err); err != nil {
		return err
	}
	if err := os.Setenv(socketEnv, strconv.Itoa(number)); err != nil {
		return err
	}
	err = syscall.Exec(os.Args[0], os.Args, os.Environ())
	return errors.Join(fmt.Errorf("execute %s: %w", os.Args[0], err), unix.Close(number))
}

// ready tells the manager that this process serves.
func ready() error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	c, err := net.Dial("unixgram", name)
	if err != nil {
		return err
	}
	_, err = c.Write([]byte("READY=1"))
	return errors.Join(err, c.Close())
}
