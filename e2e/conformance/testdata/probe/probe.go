package main

import (
	"encoding/gob"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/e2e/conformance/internal/order"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec"
)

// A probe is this process.
type probe struct {
	out      *gob.Encoder
	orders   <-chan order.Order // closed when the test has gone
	set      *activation.Set
	notifier *notify.Notifier
	upgrader *reexec.Upgrader // of the role "upgrader"

	files  map[string]syscall.Conn   // by the key that the test gave
	claims map[string][]net.Listener // by name: claimed, and not used up
	hold   bool                      // do not exit on SIGTERM
	sick   atomic.Pointer[string]    // what ails this process, for its watchdog
	others []func() error            // other ends of files, to be kept open
}

// arrive collects what the manager passed and says hello.
func arrive(role string) (*probe, error) {
	hello := order.Hello{
		Unit: os.Getenv(order.Unit), Role: role, PID: os.Getpid(), Parent: os.Getppid(),
		Env: environment(), Raw: rawDescriptors(),
	}
	p := &probe{files: map[string]syscall.Conn{}, claims: map[string][]net.Listener{}, set: new(activation.Set)}
	var err error
	if role == "upgrader" {
		p.upgrader, err = reexec.New(reexec.Options{NoSignals: true}) // the probe obeys orders of the test
	} else {
		err = p.take(&hello)
	}
	if err != nil {
		return nil, err
	}
	if p.notifier, err = notify.New(); err != nil {
		return nil, err
	}
	conn, err := net.Dial("unix", os.Getenv(order.Door))
	if err != nil {
		return nil, err
	}
	p.out = gob.NewEncoder(conn)
	p.orders = read(conn)
	p.say(hello)
	return p, nil
}

// read decodes orders until the test has gone. One to exit is obeyed here, since
// the main loop may be stuck in another.
func read(conn net.Conn) <-chan order.Order {
	orders := make(chan order.Order)
	go func() { // ends with the connection, and then the process
		defer close(orders)
		in := gob.NewDecoder(conn)
		for {
			var o order.Order
			if in.Decode(&o) != nil {
				return
			}
			if o.Do == "exit" {
				os.Exit(number(o.Args[0]))
			}
			orders <- o
		}
	}()
	return orders
}

func environment() map[string]string {
	env := map[string]string{}
	for _, e := range os.Environ() {
		k, v, _ := strings.Cut(e, "=")
		env[k] = v
	}
	return env
}

// take is what a program does first.
func (p *probe) take(hello *order.Hello) error {
	begin := time.Now()
	set, err := activation.Take()
	hello.TakeTime = time.Since(begin)
	if errors.Is(err, activation.ErrEnvironment) {
		hello.TakeError = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	p.set = set
	hello.Duplicates = set.Duplicates()
	for _, d := range set.All() {
		hello.Passed = append(hello.Passed, order.Passed{
			Name: d.Name, Kind: d.Kind.String(), Network: d.Network, Addr: text(d.Addr), Peer: text(d.Peer),
		})
	}
	return nil
}

func text(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// say tells the test something. Without a test there is nothing to live for.
func (p *probe) say(what any) {
	if err := p.out.Encode(what); err != nil {
		os.Exit(92)
	}
}

// signalled reports a signal; what asks for the end of the process ends it, unless
// it was told to hold.
func (p *probe) signalled(sig unix.Signal) {
	p.say(order.Answer{Signal: unix.SignalName(sig)})
	if p.hold {
		return
	}
	switch sig {
	case unix.SIGTERM:
		os.Exit(0)
	case unix.SIGABRT:
		os.Exit(134)
	}
}

func (p *probe) obey(o order.Order) (a order.Answer) {
	do, ok := orders[o.Do]
	if !ok {
		return order.Answer{Err: "unknown order " + o.Do}
	}
	err := do(p, o.Args, &a)
	if err != nil {
		a.Err = err.Error()
	}
	return a
}
