// Package control is the main process's side of its conversation with an operator's command;
// see package ask.
package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/excerpt"
	"github.com/cutover-go/cutover/internal/fd"
)

// Listen opens the socket of the process pid for address. A socket in a directory has a
// temporary name until Publish, so that a successor can open its socket while its
// predecessor still answers.
func Listen(address string, pid int) (*Listener, error) {
	l := &Listener{address: address, bound: address}
	if !strings.HasPrefix(address, "@") {
		l.bound = ask.Unpublished(address, pid)
		_ = os.Remove(l.bound) // removes the socket of a dead process that had this pid
	}
	if err := l.listen(l.bound); err != nil {
		return nil, fmt.Errorf("control socket %s (is another process using it?): %w", address, err)
	}
	return l, nil
}

// ListenNowhere opens a socket that no command finds. It serves a process whose abstract
// name another process has taken: any process can take such a name. The command detects
// the other process by its pid.
func ListenNowhere() (*Listener, error) {
	l := &Listener{address: "@", bound: "@"}
	return l, l.listen("") // the kernel chooses, unix(7)
}

func (l *Listener) listen(name string) (err error) {
	l.ln, err = net.ListenUnix("unixpacket", &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err == nil {
		l.ln.SetUnlinkOnClose(false) // the next main process may have the name; see Close
	}
	return err
}

// Listener is the socket of a main process.
type Listener struct {
	ln      *net.UnixListener
	address string // address at which a command looks for the socket
	bound   string // current address of the socket
}

// Publish renames the socket to its address, so that commands reach it. It replaces the
// socket of the process predecessor (0: none), or of a dead process, in one step. It does
// not replace the socket of another service with the same directory and returns an error.
// Commands that know the pid of this process reach it nevertheless.
func (l *Listener) Publish(predecessor int) error {
	if l.bound == l.address {
		return nil
	}
	owner, ok := ownerOf(l.address)
	if ok && trustedUser(owner) && owner.PID != os.Getpid() && owner.PID != predecessor {
		return fmt.Errorf("publish control socket: %s belongs to process %d: two services have one RuntimeDirectory=, give each its own", l.address, owner.PID)
	}
	if err := os.Rename(l.bound, l.address); err != nil {
		return fmt.Errorf("publish control socket: %w", err)
	}
	l.bound = l.address
	return nil
}

// Discard removes the unpublished socket of the process pid, which is a dead successor.
func (l *Listener) Discard(pid int) {
	if !strings.HasPrefix(l.address, "@") {
		_ = os.Remove(ask.Unpublished(l.address, pid)) // usually it does not exist
	}
}

// Close stops listening. It removes a published socket from its directory if unlink is
// true. The last main process sets unlink. A process that has handed over does not,
// because the path belongs to its successor.
func (l *Listener) Close(unlink bool) error {
	err := l.ln.Close()
	if !strings.HasPrefix(l.bound, "@") && (unlink || l.bound != l.address) {
		err = errors.Join(err, os.Remove(l.bound))
	}
	return err
}

// Accept waits for a command of root or of the user of this process. It answers other
// users with an error.
func (l *Listener) Accept() (*Conn, error) {
	for {
		uc, err := l.ln.AcceptUnix()
		if err != nil {
			return nil, err
		}
		c := &Conn{uc: uc}
		if trusted(uc) {
			return c, nil
		}
		_ = c.Answer(ask.Answer{Error: "permission denied: only root and the service's own user may ask"})
		_ = c.Close()
	}
}

// Waiting reports whether a command waits for Accept. accept(2) reports a shortage of
// descriptors also where none waits.
func (l *Listener) Waiting() bool { return fd.Readable(l.ln) }

// trusted reports whether the process at the other end of c belongs to root or to the
// user of this process.
func trusted(c *net.UnixConn) bool {
	peer, err := fd.PeerOf(c)
	return err == nil && trustedUser(peer)
}

func trustedUser(p fd.Peer) bool { return p.UID == 0 || p.UID == os.Geteuid() }

// ownerTimeout bounds a connect. It takes microseconds, unless the queue of the listener
// is full.
const ownerTimeout = time.Second

// ownerOf returns the process that listens at address, or false without one.
func ownerOf(address string) (fd.Peer, bool) {
	conn, err := net.DialTimeout("unixpacket", address, ownerTimeout)
	if err != nil {
		return fd.Peer{}, false
	}
	defer conn.Close()
	peer, err := fd.PeerOf(conn.(*net.UnixConn))
	return peer, err == nil
}

// InUse reports whether this process already listens at address, published or not.
func InUse(address string) bool {
	for _, a := range []string{address, ask.Unpublished(address, os.Getpid())} {
		if owner, ok := ownerOf(a); ok && owner.PID == os.Getpid() {
			return true
		}
	}
	return false
}

// Conn is the conversation with one command.
type Conn struct{ uc *net.UnixConn }

// Dup returns a descriptor of the conversation for another process; see Adopt.
func (c *Conn) Dup() (*fd.FD, error) { return fd.DupOf(c.uc) }

// Adopt returns the Conn of a descriptor that Dup has returned. It consumes f, also on
// error.
func Adopt(f *fd.FD) (*Conn, error) {
	c, err := f.Conn()
	if err != nil {
		return nil, err
	}
	uc, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close() // the error below matters more
		return nil, errors.New("not a control connection")
	}
	return &Conn{uc: uc}, nil
}

// Close hangs up.
func (c *Conn) Close() error { return c.uc.Close() }

// Request reads the request of the command. It waits for at most timeout.
func (c *Conn) Request(timeout time.Duration) (ask.Request, error) {
	_ = c.uc.SetReadDeadline(time.Now().Add(timeout)) // fails on a closed connection only, as does the read
	var r ask.Request
	err := ask.Receive(c.uc, ask.MaxMessage, &r)
	return r, err
}

// Gone blocks until the command hangs up, Interrupt is called, or Close is called. Call
// it after Request.
func (c *Conn) Gone() {
	_ = c.uc.SetReadDeadline(time.Time{}) // fails on a closed connection only
	_, _ = c.uc.Read(make([]byte, 1))     // the result does not matter
}

// Interrupt ends a running Request or Gone. It does not affect Answer.
func (c *Conn) Interrupt() { _ = c.uc.SetReadDeadline(time.Unix(1, 0)) } // fails on a closed connection only

// Answer sends a. It cuts an error of more than ask.MaxError bytes.
func (c *Conn) Answer(a ask.Answer) error {
	a.Error = excerpt.Of(a.Error, ask.MaxError)
	return ask.Send(c.uc, a)
}
