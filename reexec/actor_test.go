//go:build linux

package reexec_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/testproc"
	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// actorVariable names, in the environment of an actor and its successors, the
// socket at which a test directs them.
const actorVariable = "REEXEC_TEST_STAGE"

// An actor is a program that does what a test tells it to, call by call, so that
// each of them can be the last. The calls have the names of the methods of an Upgrader.
type actor struct {
	*testproc.Self
	u *reexec.Upgrader

	mu        sync.Mutex // guards what follows
	listeners map[string]net.Listener
	releases  map[string]func()
	kept      []*reexec.Kept
	observed  []reexec.Event
	more      *sync.Cond    // of observed
	goOn      chan struct{} // for a Restore
	moves     bool          // connections move
	packets   net.PacketConn
	next      func(reexec.Command) (reexec.Command, error)
	secret    func() ([]byte, error)
}

// actorMain ends with the test, or when it is told to.
func actorMain() int {
	self, err := testproc.Connect(os.Getenv(actorVariable), testproc.NewHello(os.Args))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 90
	}
	a := &actor{Self: self, listeners: map[string]net.Listener{}, releases: map[string]func(){}, goOn: make(chan struct{})}
	a.more = sync.NewCond(&a.mu)
	return a.Serve(a.execute)
}

func (a *actor) set(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *actor) execute(ctx context.Context, do string, args []string) (text string, err error) {
	arg := func(i int) string { return append(args, "", "", "")[i] }
	switch do {
	case "new":
		return a.arrive(arg(0))
	case "listen":
		return a.listen(ctx, arg(0), arg(1), arg(2))
	case "listen packet":
		c, err := a.u.ListenPacket(ctx, arg(0), arg(1), arg(2))
		if err != nil {
			return "", err
		}
		return c.LocalAddr().String(), nil
	case "listen flows":
		return a.listenFlows(ctx, numbered, arg(0), arg(1), arg(2))
	case "listen peers":
		p := &peers{owners: map[netip.AddrPort]uint32{}}
		return a.listenFlows(ctx, p.route, arg(0), arg(1), arg(2), p)
	case "listen unserved":
		ln, err := a.u.Listen(ctx, arg(0), arg(1), arg(2))
		a.set(func() { a.listeners[arg(0)] = ln })
		return "", err
	case "listen pool":
		return a.listenPool(ctx, arg(0), arg(1), arg(2))
	case "listen packet pool":
		return a.listenPacketPool(ctx, arg(0), arg(1), arg(2))
	case "accept by a deadline":
		return "", acceptByDeadline(a.listeners[arg(0)])
	case "listen many": // each of these listeners receives connections
		return "", a.listenMany(ctx, arg(0), arg(1))
	case "checkpoint":
		return "", a.u.Checkpoint(ctx)
	case "keep":
		return "", a.keep(arg(0))
	case "claim":
		kept, err := a.u.Claim(arg(0))
		a.set(func() { a.kept = append(a.kept, kept...) })
		return strconv.Itoa(len(kept)), err
	case "forget":
		return "", a.kept[0].Forget()
	case "stat kept":
		_, err := a.kept[0].File.Stat()
		return "", err
	case "close listener":
		return "", a.listeners[arg(0)].Close()
	case "ready":
		return "", a.u.Ready(ctx)
	case "services":
		return "", a.services(ctx, args)
	case "packet address":
		a.mu.Lock()
		defer a.mu.Unlock()
		for a.packets == nil {
			a.more.Wait() // as in observed
		}
		return a.packets.LocalAddr().String(), nil
	case "address":
		a.mu.Lock()
		defer a.mu.Unlock()
		for a.listeners[arg(0)] == nil {
			a.more.Wait() // as in observed
		}
		return a.listeners[arg(0)].Addr().String(), nil
	case "upgrade":
		return "", a.u.Upgrade(ctx)
	case "receive":
		a.set(func() { a.moves = true })
		return "", a.u.Receive(arg(0), talk)
	case "receive idle": // for as long as the second argument says, or for ever
		a.set(func() { a.moves = true })
		limit, _ := time.ParseDuration(arg(1)) // none
		return "", protocol.Of(a.u).ReceiveIdle(arg(0), func([]byte) time.Duration { return limit }, talk)
	case "stop":
		a.u.Stop()
	case "fail":
		a.u.Fail(errors.New(arg(0)))
	case "fail at length": // with a reason of so many times the text
		n, _ := strconv.Atoi(arg(1))
		a.u.Fail(errors.New(strings.Repeat(arg(0), n)))
	case "drain":
		return "", a.u.Drain(ctx)
	case "hold":
		a.set(func() { a.releases[arg(0)] = a.u.Hold() })
	case "release":
		a.set(a.releases[arg(0)])
	case "close":
		return "", a.u.Close()
	case "save":
		return "", a.u.Save(arg(0), func() (reexec.State, error) { return reexec.State{Data: []byte(arg(1))}, nil })
	case "inherit": // the address of an inherited listener, "" if there is none
		ln, err := a.u.ListenFunc(arg(0), nil)
		if ln == nil || err != nil {
			return "", err
		}
		return ln.Addr().String(), nil
	case "main":
		return strconv.FormatBool(a.u.Status().Main), nil
	case "wait for predecessor":
		return "", a.u.WaitForPredecessor(ctx)
	case "secret":
		a.secret, err = a.u.Secret(arg(0))
		return "", err
	case "tell secret":
		b, err := a.secret()
		return fmt.Sprintf("%x", b), err
	case "save badly": // and in which way
		return "", a.u.Save(arg(0), func() (reexec.State, error) { return reexec.State{}, a.misbehave(arg(1)) })
	case "next":
		a.next = func(c reexec.Command) (reexec.Command, error) { return c, a.misbehave(arg(0)) }
	case "restore badly":
		return "", a.u.Restore(arg(0), func(reexec.State) error { return a.misbehave(arg(1)) })
	case "restore":
		return "", a.restore(arg(0))
	case "go on":
		a.goOn <- struct{}{}
	case "end when draining": // as a program that does not know Drain
		go func() { // ends the process
			<-protocol.Of(a.u).Draining()
			os.Exit(0)
		}()
	case "limit":
		return "", limitDescriptors(arg(0))
	case "chdir":
		return "", os.Chdir(arg(0))
	case "setenv":
		return "", os.Setenv(arg(0), arg(1))
	case "close standard":
		return "", errors.Join(os.Stdin.Close(), os.Stdout.Close(), os.Stderr.Close())
	case "clear environment":
		os.Clearenv()
	case "inside":
		fds, err := os.ReadDir("/proc/self/fd")
		return fmt.Sprintf("%d goroutines, %d descriptors", runtime.NumGoroutine(), len(fds)), err
	case "observed":
		least, err := strconv.Atoi(arg(0))
		if err != nil {
			return "", err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		for len(a.observed) < least {
			a.more.Wait() // longer than the test has patience, if they do not come
		}
		text, err := json.Marshal(a.observed)
		return string(text), err
	case "flags":
		return flags(a.listeners[arg(0)])
	default:
		return "", fmt.Errorf("unknown call %q", do)
	}
	return "", nil
}

// arrive calls reexec.New with the options that text has as JSON.
func (a *actor) arrive(text string) (string, error) {
	o := reexec.Options{NoSignals: true}
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return "", err
	}
	o.Logger = slog.New(journal{a})
	o.Observe = func(e reexec.Event) { a.set(func() { a.observed = append(a.observed, e); a.more.Broadcast() }) }
	o.Next = a.next
	u, err := reexec.New(o)
	if err != nil {
		return "", err
	}
	a.u = u
	go func() { // ends with the process
		<-protocol.Of(u).Draining()
		a.Report("draining closed", "")
	}()
	go func() { // as above
		<-protocol.Of(u).Stopping()
		a.Report("stopping closed", "")
	}()
	return strconv.Itoa(u.Generation()), nil
}

// listen claims a listener, which it calls by its name and address, and serves it.
func (a *actor) listen(ctx context.Context, name, network, address string) (string, error) {
	ln, err := a.u.Listen(ctx, name, network, address)
	if err != nil {
		return "", err
	}
	a.set(func() { a.listeners[name] = ln })
	go a.serve(ln) // ends when ln is closed
	return ln.Addr().String(), nil
}

// keep keeps a file of its own under name.
func (a *actor) keep(name string) error {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer f.Close()
	k, err := a.u.Keep(name, f)
	a.set(func() { a.kept = append(a.kept, k) })
	return err
}

// listenMany claims listeners whose names begin with name.
func (a *actor) listenMany(ctx context.Context, name, count string) error {
	n, err := strconv.Atoi(count)
	for i := 0; i < n && err == nil; i++ {
		one := fmt.Sprintf("%s%05d", name, i)
		if _, err = a.u.Listen(ctx, one, "tcp", "127.0.0.1:0"); err == nil {
			err = a.u.Receive(one, talk)
		}
	}
	return err
}

// restore registers a function that tells what it restores and then waits.
func (a *actor) restore(name string) error {
	return a.u.Restore(name, func(s reexec.State) error {
		a.Report("restoring "+name, string(s.Data))
		<-a.goOn
		return nil
	})
}

func (a *actor) serve(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		if a.moves {
			go a.converseAnywhere(c, a.u.Hold()) // ends with the client, or when another process has it
			continue
		}
		go a.converse(c, a.u.Hold()) // ends with the client
	}
}

// acceptByDeadline accepts until shortly after now.
func acceptByDeadline(ln net.Listener) error {
	if err := ln.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return err
	}
	c, err := ln.Accept()
	if err == nil {
		err = c.Close()
	}
	return err
}

// converse says who accepted c, and then gives back each line.
func (a *actor) converse(c net.Conn, release func()) {
	defer release()
	defer c.Close()
	fmt.Fprintf(c, "%d\n", os.Getpid())
	lines := bufio.NewScanner(c)
	for lines.Scan() {
		fmt.Fprintln(c, lines.Text())
	}
}

// limitDescriptors sets the soft RLIMIT_NOFILE.
func limitDescriptors(text string) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	var err error
	if l.Cur, err = strconv.ParseUint(text, 10, 64); err != nil {
		return err
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}

// flags tells whether the listener's open file description is non-blocking.
func flags(ln net.Listener) (text string, err error) {
	rc, err := ln.(syscall.Conn).SyscallConn()
	if err != nil {
		return "", err
	}
	err = rc.Control(func(fd uintptr) {
		f, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_GETFL, 0)
		text = fmt.Sprintf("nonblock=%v errno=%d", f&syscall.O_NONBLOCK != 0, errno)
	})
	return text, err
}

// A journal reports what an Upgrader logs as events: its states by their name.
type journal struct{ a *actor }

func (j journal) Enabled(context.Context, slog.Level) bool { return true }
func (j journal) WithAttrs([]slog.Attr) slog.Handler       { return j }
func (j journal) WithGroup(string) slog.Handler            { return j }

func (j journal) Handle(_ context.Context, r slog.Record) error {
	about := ""
	r.Attrs(func(attr slog.Attr) bool {
		if r.Message == "state" && attr.Key == "to" {
			about = attr.Value.String()
		}
		if r.Message != "state" {
			about += fmt.Sprintf("%s=%v ", attr.Key, attr.Value)
		}
		return true
	})
	j.a.Report(r.Message, about)
	return nil
}
