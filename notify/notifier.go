package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// A Notifier sends the state of this process to a service manager. It owns one
// socket, opened by New or Dial and kept until Close, and no goroutine.
//
// A nil *Notifier does nothing: every method returns at once, without an error. New
// returns nil in a process without a manager, so a program need not check whether
// it runs under systemd. The zero Notifier does nothing, too.
//
// All methods are safe for concurrent use. They block while the manager does not
// read, until their ctx ends; a ctx without a deadline waits as long as it takes.
type Notifier struct {
	turn     chan struct{} // holds one token while a message is made and sent
	text     []byte        // the message, kept for the next one; guarded by turn
	socket   transport     // guarded by turn, except for its Close
	files    bool          // descriptors can be sent over socket
	storeMax int
	retimed  chan struct{} // has a token after watchdog was set

	mu       sync.Mutex
	status   string        // the last one sent by Send
	watchdog time.Duration // the timeout in force, 0 for none
}

// A transport carries messages to the manager. All but Close is called by one
// goroutine at a time.
type transport interface {
	send(ctx context.Context, text, rights []byte) error
	Close() error
}

// New returns the Notifier for the socket that $NOTIFY_SOCKET names. Without that
// variable, or with an empty one, there is no manager to talk to: New returns nil
// and no error, and a nil Notifier does nothing. The variables stay in the
// environment, where a successor of this process needs them.
//
// A malformed $NOTIFY_SOCKET, $WATCHDOG_USEC, $WATCHDOG_PID or $FDSTORE, or a
// socket that cannot be reached, is an error. Protocol: sd_notify(3).
func New() (*Notifier, error) {
	e, err := readEnvironment(os.LookupEnv, os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("notify: %w", err)
	}
	if e.socket == "" {
		return nil, nil
	}
	n, err := Dial(e.socket)
	if err != nil {
		return nil, err
	}
	n.watchdog, n.storeMax = e.watchdog, e.storeMax
	return n, nil
}

// Dial returns a Notifier for the socket at address, in the forms of
// $NOTIFY_SOCKET: an absolute path; @ and an abstract name; vsock:CID:PORT for
// the host of a virtual machine (systemd 253), also with vsock-stream,
// vsock-dgram or vsock-seqpacket (256). Dial does not read the environment, so
// WatchdogTimeout and StoreMax are 0; a service calls New.
//
// No descriptor goes over vsock: there Store, Barrier and MainPIDFD return an
// error that wraps errors.ErrUnsupported. Where vsock has no datagrams, Send makes
// a connection for each message.
func Dial(address string) (*Notifier, error) {
	a, err := parseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("notify: address %q: %w", address, err)
	}
	t, err := a.dial()
	if err != nil {
		return nil, fmt.Errorf("notify: address %q: %w%s", address, err, advice(err))
	}
	return &Notifier{
		turn:    make(chan struct{}, 1),
		text:    make([]byte, 0, maxMessage),
		socket:  t,
		files:   a.unix != "",
		retimed: make(chan struct{}, 1),
	}, nil
}

// advice says what in a unit makes dialling fail with err.
func advice(err error) string {
	switch {
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return " (RestrictAddressFamilies= of the unit must include AF_UNIX)"
	case errors.Is(err, os.ErrNotExist):
		return " (with RootDirectory= or RootImage= systemd before 248 needs BindReadOnlyPaths=/run/systemd/notify)"
	}
	return ""
}

// Send sends the assignments as one message, which the manager acts upon as a
// whole and in a fixed order. Send checks all of them first; a mistake in one of
// them is an error, and nothing was sent.
//
// No error means that the message is queued. The manager never answers: it may
// still drop the message, for NotifyAccess= above all. To wait until it was
// processed call Barrier.
//
// Send blocks while the manager's queue is full; then it returns when ctx ends,
// with an error that wraps its cause. Protocol: sd_notify(3).
func (n *Notifier) Send(ctx context.Context, assignments ...Assignment) error {
	if n.idle() {
		return nil
	}
	if err := n.send(ctx, assignments); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	for i := range assignments {
		n.remember(&assignments[i])
	}
	return nil
}

// remember keeps the values that RunWatchdog needs of a sent message.
func (n *Notifier) remember(a *Assignment) {
	switch a.key {
	case "STATUS":
		n.mu.Lock()
		n.status = a.value
		n.mu.Unlock()
	case "WATCHDOG_USEC":
		n.mu.Lock()
		n.watchdog = a.timeout
		n.mu.Unlock()
		select {
		case n.retimed <- struct{}{}:
		default:
		}
	}
}

// send is Send without the prefix of its errors; the rest of the package uses it.
func (n *Notifier) send(ctx context.Context, assignments []Assignment) error {
	if err := n.lock(ctx); err != nil {
		return err
	}
	defer n.unlock()
	text, err := appendMessage(n.text[:0], assignments)
	if err != nil {
		return err
	}
	for i := range assignments {
		if file := assignments[i].file; file != nil {
			return n.sendWith(ctx, text, file)
		}
	}
	return n.socket.send(ctx, text, nil)
}

// sendWith sends text with a duplicate of the descriptor of file.
func (n *Notifier) sendWith(ctx context.Context, text []byte, file syscall.Conn) error {
	if !n.files {
		return fmt.Errorf("descriptor over vsock: %w", errors.ErrUnsupported)
	}
	d, err := fd.DupOf(file)
	if err != nil {
		return fmt.Errorf("duplicate descriptor: %w", err)
	}
	defer d.Close()
	return n.socket.send(ctx, text, fd.Rights([]*fd.FD{d}))
}

// lock waits for the turn to send.
func (n *Notifier) lock(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case n.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (n *Notifier) unlock() { <-n.turn }

// idle reports whether there is no manager.
func (n *Notifier) idle() bool { return n == nil || n.socket == nil }

// Close closes the socket. Calls that wait for room in the manager's queue return,
// and later ones fail, with an error that wraps net.ErrClosed; a Barrier whose
// message is sent already goes on waiting. A second Close does nothing.
func (n *Notifier) Close() error {
	if n.idle() {
		return nil
	}
	if err := n.socket.Close(); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}
