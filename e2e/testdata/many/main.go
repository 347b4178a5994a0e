// Command many is a server with as many listeners as one asks for: of TCP and of
// abstract unix sockets, several under each name.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"syscall"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

var version = "dev"

// perName is the number of listeners with one name.
const perName = 8

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

func serve(ctx context.Context) (err error) {
	count := flag.Int("listeners", 4, "how many there are besides that of HTTP")
	flag.Parse()
	u, err := reexec.New(reexec.Options{RestartSignal: syscall.SIGUSR2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	ln, err := u.Listen(ctx, "http", "tcp", "127.0.0.1:8080")
	if err != nil {
		return err
	}
	line := fmt.Sprintf("version=%s generation=%d pid=%d", version, u.Generation(), os.Getpid())
	more, err := listeners(ctx, u, *count)
	if err != nil {
		return err
	}
	for _, l := range more {
		go greet(l, line) // ends with the process
	}
	return rehttp.Serve(ctx, u, &http.Server{Handler: handler(line, more)}, ln)
}

func listeners(ctx context.Context, u *reexec.Upgrader, count int) (all []net.Listener, err error) {
	for i := range count {
		name, network, address := fmt.Sprintf("many-%d", i/perName), "tcp", "127.0.0.1:0"
		if i%2 == 1 {
			network, address = "unix", fmt.Sprintf("@many/%d", i)
		}
		l, err := u.Listen(ctx, name, network, address)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// greet tells each client of l who serves.
func greet(l net.Listener, line string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		fmt.Fprintln(c, line)
		_ = c.Close() // the client has read the answer
	}
}

func handler(line string, more []net.Listener) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, line) })
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) {
		fds, _ := os.ReadDir("/proc/self/fd") // 0 fails the story
		fmt.Fprintf(w, "%s goroutines=%d fds=%d\n", line, runtime.NumGoroutine(), len(fds))
	})
	mux.HandleFunc("/addresses", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, line)
		for _, l := range more {
			fmt.Fprintf(w, " %s/%s", l.Addr().Network(), l.Addr())
		}
	})
	return mux
}
