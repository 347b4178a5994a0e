// Package probe is a daemon that executes the calls of a test with the packages
// activation, notify and reexec, as any program would. The conformance suite and the tests
// of package upgradetest run it.
package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/testproc"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec"
)

// The variables by which a probe finds its test.
const (
	Address = "CUTOVER_TEST_ADDRESS" // path of the test's socket
	Unit    = "CUTOVER_TEST_UNIT"    // by which a test tells its probes from those of others
)

// A program is the process that obeys.
type program struct {
	*testproc.Self
	command  []string // before the role
	set      *activation.Set
	notifier *notify.Notifier
	upgrader *reexec.Upgrader // of the role "upgrader"

	files  map[string]syscall.Conn   // by the key that the test gave
	claims map[string][]net.Listener // by name: claimed, and not used up
	stays  atomic.Bool               // on SIGTERM
	sick   atomic.Pointer[string]    // the reason for which the watchdog's check fails
	others []func() error            // other ends of files, to be kept open
}

// Main is the main function of a probe and returns its exit status. The first of args, the
// last words of the command line, is its role. As "door" it opens the test's socket, see
// openDoor; as "upgrader" it leaves its descriptors to package reexec; any other role is
// only reported. SIGTERM ends it unless it was told to stay; it reports each signal.
func Main(args []string) (status int) {
	var err error
	if len(args) == 2 && args[0] == "door" {
		err = openDoor(args[1])
	} else {
		status, err = run(args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		return 90
	}
	return status
}

func run(args []string) (status int, err error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGABRT)
	p, err := newProgram(args)
	if err != nil {
		return 0, err
	}
	go func() { // ends with the process
		for sig := range signals {
			p.signalled(sig.(unix.Signal))
		}
	}()
	return p.Serve(p.execute), nil
}

// newProgram takes the passed descriptors and says hello.
func newProgram(args []string) (*program, error) {
	hello, taken := testproc.NewHello(args), Taken{Raw: rawDescriptors()}
	p := &program{
		command: os.Args[:len(os.Args)-len(args)], set: new(activation.Set),
		files: map[string]syscall.Conn{}, claims: map[string][]net.Listener{},
	}
	var err error
	if len(args) > 0 && args[0] == "upgrader" {
		p.upgrader, err = reexec.New(reexec.Options{NoSignals: true}) // the test ends the probe
	} else {
		err = p.take(&taken)
	}
	if err != nil {
		return nil, err
	}
	if p.notifier, err = notify.New(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(taken)
	if err != nil {
		return nil, err
	}
	hello.Text = string(text)
	p.Self, err = testproc.Connect(os.Getenv(Address), hello)
	return p, err
}

// signalled reports a signal. A signal that asks for the end of the process ends it, unless
// it was told to stay.
func (p *program) signalled(sig unix.Signal) {
	p.Report("signal", unix.SignalName(sig))
	if p.stays.Load() {
		return
	}
	switch sig {
	case unix.SIGTERM:
		os.Exit(0)
	case unix.SIGABRT:
		os.Exit(134)
	}
}

func (p *program) execute(_ context.Context, do string, args []string) (string, error) {
	call, ok := calls[do]
	if !ok {
		return "", fmt.Errorf("unknown call %q", do)
	}
	return call(p, args)
}
