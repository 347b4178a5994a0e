//go:build linux

package upgradetest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// puppetArg is the first argument of a process that does what the test tells it
// over a socket, so that a test needs no program of its own and no sleep.
const puppetArg = "puppet"

// A hello is the first thing that a puppet says.
type hello struct {
	PID, Parent int
	Args        []string
	Env         map[string]string
	SoftNOFILE  uint64
}

// An order is what the test wants done, an answer what came of it. An answer
// with a Signal is no answer: it says that the signal has arrived.
type order struct {
	Do   string
	Text string
	N    int
}

type answer struct {
	Text   string
	N      int
	Signal string
	Err    string
}

// A puppet is the process's side.
type puppet struct {
	in   *json.Decoder
	out  *json.Encoder
	hold bool // do not exit on SIGTERM
	kept map[string]int
}

// puppetMain connects to $PUPPET and obeys. SIGTERM ends it unless it was told to
// hold; every signal is reported.
func puppetMain(args []string) {
	conn, err := net.Dial("unix", os.Getenv("PUPPET"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(90)
	}
	p := &puppet{in: json.NewDecoder(conn), out: json.NewEncoder(conn), kept: map[string]int{}}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGABRT)
	orders := make(chan order)
	go p.read(orders)
	p.say(p.hello(args))
	for {
		select {
		case sig := <-signals:
			p.say(answer{Signal: unix.SignalName(sig.(syscall.Signal))})
			if sig == unix.SIGTERM && !p.hold {
				os.Exit(0)
			}
		case o := <-orders:
			p.say(p.obey(o))
		}
	}
}

// read ends the process when the test has gone.
func (p *puppet) read(orders chan<- order) {
	for {
		var o order
		if err := p.in.Decode(&o); err != nil {
			os.Exit(91)
		}
		if o.Do == "exit" { // also while the main loop is stuck in an order
			os.Exit(o.N)
		}
		orders <- o
	}
}

func (p *puppet) say(what any) {
	if err := p.out.Encode(what); err != nil {
		os.Exit(92)
	}
}

func (p *puppet) hello(args []string) hello {
	h := hello{PID: os.Getpid(), Parent: os.Getppid(), Args: args, Env: map[string]string{}}
	for _, e := range os.Environ() {
		k, v, _ := strings.Cut(e, "=")
		h.Env[k] = v
	}
	limits, _ := os.ReadFile("/proc/" + strconv.Itoa(os.Getppid()) + "/limits")
	_ = limits
	return h
}

func (p *puppet) obey(o order) (a answer) {
	var err error
	switch o.Do {
	case "notify":
		err = notifyFDs(o.Text, nil)
	case "barrier":
		err = barrier()
	case "hold":
		p.hold = true
	case "keep": // makes a descriptor of a kind and keeps it under a name
		kind, name, _ := strings.Cut(o.Text, " ")
		p.kept[name], err = newDescriptor(kind)
	case "store": // sends kept descriptors with a message
		message, names, _ := strings.Cut(o.Text, "\x00")
		var fds []int
		for _, n := range strings.Fields(names) {
			fds = append(fds, p.kept[n])
		}
		err = notifyFDs(message, fds)
	case "read": // the contents of the passed descriptor N
		a.Text, err = readFD(o.N)
	case "accept": // one connection on the passed descriptor N, answered with Text
		err = acceptOne(o.N, o.Text)
	case "print":
		fmt.Println(o.Text)
	case "flags":
		a.N, err = unix.FcntlInt(uintptr(o.N), unix.F_GETFL, 0)
	case "fork": // another puppet, with CLONE_PARENT if Text says so
		a.N, err = forkPuppet(o.Text)
	default:
		err = fmt.Errorf("unknown order %q", o.Do)
	}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

func notifyFDs(text string, fds []int) error {
	address := os.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return errors.New("no NOTIFY_SOCKET")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	return unix.Sendmsg(fd, []byte(text), oob, &unix.SockaddrUnix{Name: address}, 0)
}

func barrier() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	err = notifyFDs("BARRIER=1", []int{int(w.Fd())})
	if cerr := w.Close(); err != nil || cerr != nil {
		return errors.Join(err, cerr)
	}
	if err := r.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	_, err = io.ReadAll(r)
	return err
}

// newDescriptor makes one of those that a store may be given.
func newDescriptor(kind string) (int, error) {
	var p [2]int
	switch kind {
	case "pipe": // the other end stays open until the process dies
		err := unix.Pipe2(p[:], unix.O_CLOEXEC)
		return p[0], err
	case "path":
		return unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	case "tcp":
		return unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	}
	fd, err := unix.MemfdCreate("kept", unix.MFD_CLOEXEC)
	if err == nil {
		_, err = unix.Write(fd, []byte(kind)) // a memfd, known by its contents
	}
	return fd, err
}

func readFD(fd int) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Pread(fd, buf, 0)
	return string(buf[:max(n, 0)]), err
}

func acceptOne(fd int, text string) error {
	f := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		return err
	}
	_, err = io.WriteString(c, text)
	return errors.Join(err, c.Close())
}

func forkPuppet(how string) (int, error) {
	attr := &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{}}
	if how == "sibling" {
		attr.Sys.Cloneflags = syscall.CLONE_PARENT
	}
	exe, err := os.Executable()
	if err != nil {
		return 0, err
	}
	return syscall.ForkExec(exe, []string{exe, puppetArg, how}, attr)
}
