// Command daemon is a web server with one flaw, which -flaw names, for the tests of package
// proof. Without -flaw it has none.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

const address = "127.0.0.1:8080"

func main() {
	flaw := flag.String("flaw", "", "the `name` of a flaw")
	delay := flag.Duration("delay", 0, "how long each answer takes")
	ready := flag.Duration("ready", 10*time.Second, "how long a successor may start")
	flag.Parse()
	var replaced atomic.Bool
	code := reexec.Main(reexec.Options{ReadyTimeout: *ready, Drain: 10 * time.Second}, reexec.ServiceFunc(
		func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			serve, err := rehttp.Service("http", address, &http.Server{Handler: handler(u, *delay, *flaw == "crashes")}).Listen(ctx, u)
			if err != nil {
				return nil, err
			}
			if f := flaws[*flaw]; f != nil {
				if err := f(u); err != nil {
					return nil, err
				}
			}
			whenReplaced(u, func() { replaced.Store(true) })
			return serve, nil
		}))
	if *flaw == "lingers" && replaced.Load() {
		time.Sleep(lingering)
	}
	if *flaw == "tied" {
		_ = os.WriteFile(ended(os.Getpid()), nil, 0o644) // without it the successor ends, too
	}
	os.Exit(code)
}

// whenReplaced calls f when a successor serves, and not when this process is stopped.
func whenReplaced(u *reexec.Upgrader, f func()) {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	u.OnDrain(sync.OnceFunc(func() {
		select {
		case <-terminated:
		default:
			f()
		}
	}))
}

// handler answers. With crashes, a process that has replaced another one ends by a panic when
// it has answered some requests.
func handler(u *reexec.Upgrader, delay time.Duration, crashes bool) http.Handler {
	line := fmt.Sprintf("generation=%d pid=%d", u.Generation(), os.Getpid())
	var answered atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(delay)
		fmt.Fprintln(w, line)
		if crashes && u.Generation() > 1 && answered.Add(1) == 20 {
			go panic("a flaw of this program") // net/http recovers from a panic of a handler
		}
	})
}

// lingering is longer than a story waits for the next process.
const lingering = 25 * time.Second

// flaws change what the daemon does once it has its socket.
var flaws = map[string]func(*reexec.Upgrader) error{
	"exits when replaced": func(u *reexec.Upgrader) error {
		whenReplaced(u, func() { os.Exit(0) })
		return nil
	},
	"exits at SIGTERM": func(u *reexec.Upgrader) error {
		var replaced atomic.Bool
		whenReplaced(u, func() { replaced.Store(true) })
		terminated := make(chan os.Signal, 1)
		signal.Notify(terminated, syscall.SIGTERM)
		go func() { // ends with the process
			if <-terminated; !replaced.Load() { // the old process of an upgrade finishes its requests
				os.Exit(0)
			}
		}()
		return nil
	},
	"keeps a file": func(u *reexec.Upgrader) error {
		for i := range u.Generation() {
			name := "log" + strconv.Itoa(i)
			kept, err := u.Claim(name)
			if err != nil {
				return err
			}
			if len(kept) > 0 {
				continue
			}
			f, err := os.Open("/etc/passwd")
			if err != nil {
				return err
			}
			if _, err := u.Keep(name, f); err != nil {
				return err
			}
		}
		return nil
	},
	"tied": tie,
}

func ended(pid int) string {
	return filepath.Join(os.Getenv("RUNTIME_DIRECTORY"), "ended."+strconv.Itoa(pid))
}

// tie ends this process when its predecessor dies before its main has returned.
func tie(u *reexec.Upgrader) error {
	file := filepath.Join(os.Getenv("RUNTIME_DIRECTORY"), "pid")
	text, _ := os.ReadFile(file) // the first process has none
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		return err
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil || u.Generation() == 1 {
		return nil
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil
	}
	go func() { // ends with the predecessor
		for {
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, -1); err != unix.EINTR {
				break
			}
		}
		if _, err := os.Stat(ended(pid)); err != nil {
			os.Exit(1)
		}
	}()
	return nil
}
