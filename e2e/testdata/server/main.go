// Command server is the example's server with additions for the stories: a listener
// with a slow Accept, options by flag, and an endpoint that shows its state.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
	"github.com/cutover-go/cutover/units"
)

var version = "dev"

// A program can end before main. Version init does.
func init() {
	if version == "init" {
		panic("no configuration")
	}
}

// slow behaves as a connection limiter: a drain must not lose the connection that
// Accept holds and has not returned yet.
type slow struct {
	named
	delay time.Duration
}

// named is a listener with the name by which its connections move.
type named interface {
	net.Listener
	Name() string
}

func (s slow) Accept() (net.Conn, error) {
	c, err := s.named.Accept()
	time.Sleep(s.delay)
	return c, err
}

func main() {
	run := serve
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "reload":
			run = reexec.Reload
		case "status":
			run = status
		case "units":
			os.Exit(daemon().Command(os.Args[2:], os.Stdout, os.Stderr))
		}
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// daemon describes the program; the units of the example are made from it.
func daemon() units.Daemon {
	return units.Daemon{
		Name: "cutover-http", Description: "Cutover example web server",
		Sockets:   []units.Socket{{Name: "http", Listen: []string{"127.0.0.1:8080"}}},
		Binds:     1, // where no socket is passed
		Network:   true,
		Conns:     1024,
		Hardening: units.Strict,
	}
}

func status(ctx context.Context) error {
	r, err := reexec.Status(ctx)
	fmt.Println(r)
	return err
}

func serve(ctx context.Context) (err error) {
	delay := flag.Duration("accept", 0, "how long Accept takes")
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen if no socket is passed")
	var o reexec.Options
	flag.DurationVar(&o.ReadyTimeout, "ready", 0, "Options.ReadyTimeout")
	flag.DurationVar(&o.Trial, "trial", 0, "Options.Trial")
	flag.DurationVar(&o.Probation, "probation", 0, "Options.Probation")
	flag.DurationVar(&o.Drain, "drain", 0, "Options.Drain")
	flag.IntVar(&o.MaxDraining, "maxdraining", 0, "Options.MaxDraining")
	env := flag.String("env", "", "file from which the next generation's environment is renewed")
	inPlace := flag.Bool("inplace", false, "Options.Mode is in-place")
	start := flag.Duration("start", 0, "how long the start takes")
	starved := flag.String("starved", "", "a `file`: where it exists, the process has no free descriptor when it says that it is ready")
	late := flag.Duration("late", 0, "how long after an upgrade version late panics")
	flag.Parse()
	if *inPlace {
		o.Mode = "in-place"
	}
	hook(&o, *late, *env)
	u, err := reexec.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	ln, err := u.Listen(ctx, "http", "tcp", *addr)
	if err != nil {
		return err
	}
	hits := new(counter)
	if *starved == "" { // to save state, the library frees some of its reserved descriptors
		if err := hits.keep(u); err != nil {
			return err
		}
	}
	kept := &notes{u: u}
	if kept.all, err = u.Claim("note"); err != nil {
		return err
	}
	time.Sleep(*start)
	if err := starve(*starved); err != nil {
		return err
	}
	srv := &http.Server{Handler: handler(u, ln, hits, kept)}
	return rehttp.Serve(ctx, u, srv, slow{ln.(named), *delay})
}

// hook sets the options without a flag. Version "late" panics that long after its upgrade. The
// next generation gets the variables of the file env.
func hook(o *reexec.Options, late time.Duration, env string) {
	if version == "late" {
		o.Observe = func(e reexec.Event) {
			if e.Kind == "adopted" {
				time.AfterFunc(late, func() { panic("too late") })
			}
		}
	}
	if env != "" {
		o.Next = func(c reexec.Command) (reexec.Command, error) {
			lines, err := os.ReadFile(env)
			c.Env = append(c.Env, strings.Fields(string(lines))...) // of two values the last one counts
			return c, err
		}
	}
	o.RestartSignal = syscall.SIGUSR2
	o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// starve takes the free descriptors away if file exists. A story gives them back.
func starve(file string) error {
	if _, err := os.Stat(file); err != nil {
		return nil
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = 0 // the lowest free number: the limit is about numbers and not about how many there are
	for {
		if _, err := os.Lstat("/proc/self/fd/" + strconv.FormatUint(limit.Cur, 10)); err != nil {
			break
		}
		limit.Cur++
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// counter is the state that the server keeps over its generations.
type counter struct{ n atomic.Int64 }

func (c *counter) keep(u *reexec.Upgrader) error {
	err := u.Save("hits", func() (reexec.State, error) {
		return reexec.State{Version: 1, Data: []byte(strconv.FormatInt(c.n.Load(), 10))}, nil
	})
	return errors.Join(err, u.Restore("hits", func(s reexec.State) error {
		n, err := strconv.ParseInt(string(s.Data), 10, 64)
		if s.Version != 1 || err != nil {
			return fmt.Errorf("version %d: %w", s.Version, err)
		}
		c.n.Store(n)
		return nil
	}))
}

// notes are open files that the server keeps over its generations.
type notes struct {
	u   *reexec.Upgrader
	mu  sync.Mutex
	all []*reexec.Kept
}

// add keeps a file that holds text and has no name.
func (n *notes) add(text string) error {
	f, err := notify.Memfd("note", []byte(text))
	if err != nil {
		return err
	}
	defer f.Close()
	k, err := n.u.Keep("note", f)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, k)
	return err
}

// forgetFirst forgets the oldest.
func (n *notes) forgetFirst() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	first := n.all[0]
	n.all = n.all[1:]
	return first.Forget()
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var texts []string
	for _, k := range n.all {
		text, err := notify.ReadMemfd(k.File)
		texts = append(texts, string(text))
		if err != nil {
			texts = append(texts, err.Error())
		}
	}
	return strings.Join(texts, ",")
}

func handler(u *reexec.Upgrader, ln net.Listener, hits *counter, kept *notes) http.Handler {
	line := fmt.Sprintf("version=%s generation=%d pid=%d", version, u.Generation(), os.Getpid())
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // a short body shows in bytes=
		fmt.Fprintf(w, "%s bytes=%d\n", line, n)
	})
	mux.Handle("/healthz", rehttp.Health(u))
	mux.HandleFunc("/sleep", func(w http.ResponseWriter, r *http.Request) {
		d, _ := time.ParseDuration(r.URL.Query().Get("d")) // the stories write it themselves
		time.Sleep(d)
		fmt.Fprintln(w, line)
	})
	mux.HandleFunc("/hit", func(w http.ResponseWriter, r *http.Request) {
		n := hits.n.Add(1)
		if r.URL.Query().Has("checkpoint") {
			if err := u.Checkpoint(r.Context()); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		fmt.Fprintf(w, "%s hits=%d\n", line, n)
	})
	mux.HandleFunc("/fail", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, line)
		u.Fail(errors.New("the database is not the one I know"))
	})
	mux.HandleFunc("/notes", func(w http.ResponseWriter, r *http.Request) {
		var err error
		if text := r.URL.Query().Get("add"); text != "" {
			err = kept.add(text)
		} else if r.URL.Query().Has("forget") {
			err = kept.forgetFirst()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%s notes=%v\n", line, kept)
	})
	mux.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s COLOR=%s\n", line, os.Getenv("COLOR"))
	})
	mux.HandleFunc("/inside", func(w http.ResponseWriter, r *http.Request) {
		fds, _ := os.ReadDir("/proc/self/fd") // 0 fails the story
		fmt.Fprintf(w, "%s goroutines=%d fds=%d nonblock=%v\n", line, runtime.NumGoroutine(), len(fds), nonblocking(ln))
	})
	return mux
}

// nonblocking reports whether O_NONBLOCK is set on the listening socket.
func nonblocking(ln net.Listener) (set bool) {
	rc, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return false
	}
	err = rc.Control(func(fd uintptr) {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0)
		set = errno == 0 && flags&syscall.O_NONBLOCK != 0
	})
	return set && err == nil
}
