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

	"golang.org/x/sys/unix"
)

// A hello is the first thing that a puppet says.
type hello struct {
	PID, Parent int
	Args        []string
	Env         map[string]string
}

// An order is what the test wants done, an answer what came of it. An answer
// with a Signal is no answer: it says that the signal has arrived.
type order struct {
	Do   string
	Text []byte // any bytes
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

// puppetMain obeys a test, over a socket, so that a test needs no program of its
// own and no sleep. SIGTERM ends it unless it was told to hold; every signal is
// reported.
func puppetMain(args []string) error {
	conn, err := net.Dial("unix", os.Getenv("PUPPET"))
	if err != nil {
		return err
	}
	p := &puppet{in: json.NewDecoder(conn), out: json.NewEncoder(conn), kept: map[string]int{}}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGABRT)
	orders := make(chan order)
	go p.read(orders) // ends with the process
	p.say(p.hello(args))
	for {
		select {
		case sig := <-signals:
			p.say(answer{Signal: unix.SignalName(sig.(syscall.Signal))})
			if sig == unix.SIGTERM && !p.hold {
				return nil
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
	return h
}

func (p *puppet) obey(o order) (a answer) {
	var err error
	text := string(o.Text)
	switch o.Do {
	case "notify":
		err = notifyFDs(text, nil)
	case "barrier":
		err = barrier()
	case "hold":
		p.hold = true
	case "keep": // makes a descriptor of a kind and keeps it under a name
		space := strings.LastIndexByte(text, ' ')
		p.kept[text[space+1:]], err = newDescriptor(text[:space])
	case "store": // sends kept descriptors with a message
		message, names, _ := strings.Cut(text, "\x00")
		var fds []int
		for _, n := range strings.Fields(names) {
			fd, ok := p.kept[n]
			if !ok {
				return answer{Err: "nothing kept under " + n}
			}
			fds = append(fds, fd)
		}
		err = notifyFDs(message, fds)
	case "read": // the contents of the passed descriptor N
		a.Text, err = readFD(o.N)
	case "accept": // one connection on the passed descriptor N, answered with Text
		err = acceptOne(o.N, text)
	case "receive": // what comes on the passed descriptor N
		var n int
		buf := make([]byte, 4096)
		if n, err = unix.Read(o.N, buf); err == nil {
			a.Text = string(buf[:n])
		}
	case "print": // without the newline if N is set
		_, err = fmt.Print(text + "\n"[o.N:])
	case "flags":
		a.N, err = unix.FcntlInt(uintptr(o.N), unix.F_GETFL, 0)
	case "fork": // another puppet, a child or a sibling
		var flags uintptr
		if text == "sibling" {
			flags = syscall.CLONE_PARENT
		}
		a.N, err = fork(puppetArg, flags, text)
	default:
		err = fmt.Errorf("unknown order %q", o.Do)
	}
	if err != nil {
		a.Err = err.Error()
	}
	return a
}

// newDescriptor makes one of those that a store may be given.
func newDescriptor(kind string) (int, error) {
	var p [2]int
	if text, ok := strings.CutPrefix(kind, "pidfd:"); ok {
		pid, err := strconv.Atoi(text)
		if err != nil {
			return -1, err
		}
		return unix.PidfdOpen(pid, 0)
	}
	switch kind {
	case "pipe": // the other end stays open until the process dies
		err := unix.Pipe2(p[:], unix.O_CLOEXEC)
		return p[0], err
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
