package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/excerpt"
	"github.com/cutover-go/cutover/internal/fd"
)

// Listen opens the socket of the process pid for address. A socket in a directory
// is not visible under its name before Publish, so that a successor can be sure
// of it while its predecessor still answers.
func Listen(address string, pid int) (*Listener, error) {
	l := &Listener{address: address, bound: address}
	if !strings.HasPrefix(address, "@") {
		l.bound = unpublished(address, pid)
		_ = os.Remove(l.bound) // of a process that had our pid and is dead
	}
	if err := l.listen(l.bound); err != nil {
		return nil, fmt.Errorf("control socket %s (is another process using it?): %w", address, err)
	}
	return l, nil
}

// ListenNowhere opens a socket that no command finds, for a process whose abstract
// name somebody else has: anybody can take one. A command sees by the process id
// that it does not talk to us.
func ListenNowhere() (*Listener, error) {
	l := &Listener{address: "@", bound: "@"}
	return l, l.listen("") // the kernel chooses, unix(7)
}

func (l *Listener) listen(name string) (err error) {
	l.ln, err = net.ListenUnix("unixpacket", &net.UnixAddr{Name: name, Net: "unixpacket"})
	if err == nil {
		l.ln.SetUnlinkOnClose(false) // the name belongs to the next main process by then
	}
	return err
}

// Listener is the main process's end.
type Listener struct {
	ln      *net.UnixListener
	address string // as a command looks for it
	bound   string // where the socket is now
}

// Publish makes the socket the one that commands reach. The socket of the process
// predecessor, 0 if there is none, and that of a dead process are replaced in one step.
// That of another service, which has the same directory, is not: then Publish returns
// an error, and commands that know our pid reach us all the same.
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

// Discard removes what the process pid, a successor that is dead, had opened
// beside ours and not published.
func (l *Listener) Discard(pid int) {
	if !strings.HasPrefix(l.address, "@") {
		_ = os.Remove(unpublished(l.address, pid)) // usually it is not there
	}
}

// unpublished is where the process pid binds its socket at first.
func unpublished(address string, pid int) string {
	return filepath.Join(filepath.Dir(address), "."+strconv.Itoa(pid)+".sock")
}

// Close stops listening. The name in the directory goes with unlink: the process
// that is main last removes it, one that handed over must not.
func (l *Listener) Close(unlink bool) error {
	err := l.ln.Close()
	if !strings.HasPrefix(l.bound, "@") && (unlink || l.bound != l.address) {
		err = errors.Join(err, os.Remove(l.bound))
	}
	return err
}

// Accept waits for a command of root's or of our own user; others are sent away.
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
		_ = c.Answer(Answer{Error: "permission denied: only root and the service's own user may ask"})
		_ = c.Close()
	}
}

// trusted reports whether the process at the other end of c is root's or our
// own user's.
func trusted(c *net.UnixConn) bool {
	peer, err := fd.PeerOf(c)
	return err == nil && trustedUser(peer)
}

func trustedUser(p fd.Peer) bool { return p.UID == 0 || p.UID == os.Geteuid() }

// ownerTimeout bounds a connect, which takes microseconds unless the listener has a
// full queue.
const ownerTimeout = time.Second

// ownerOf returns the process that listens at address; false if none does.
func ownerOf(address string) (fd.Peer, bool) {
	conn, err := net.DialTimeout("unixpacket", address, ownerTimeout)
	if err != nil {
		return fd.Peer{}, false
	}
	defer conn.Close()
	peer, err := fd.PeerOf(conn.(*net.UnixConn))
	return peer, err == nil
}

// Taken reports whether this process listens already, for commands that look for it
// at address.
func Taken(address string) bool {
	for _, a := range []string{address, unpublished(address, os.Getpid())} {
		if owner, ok := ownerOf(a); ok && owner.PID == os.Getpid() {
			return true
		}
	}
	return false
}

// Conn is one conversation.
type Conn struct{ uc *net.UnixConn }

// Dup returns a descriptor for this conversation, for a program that goes on with
// it; see Adopt.
func (c *Conn) Dup() (*fd.FD, error) { return fd.DupOf(c.uc) }

// Adopt goes on with a conversation. It consumes f, also on error.
func Adopt(f *fd.FD) (*Conn, error) {
	c, err := f.Conn()
	if err != nil {
		return nil, err
	}
	uc, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close() // not ours to use
		return nil, errors.New("not a control connection")
	}
	return &Conn{uc: uc}, nil
}

// Close hangs up.
func (c *Conn) Close() error { return c.uc.Close() }

// Request reads what the command asks, within timeout.
func (c *Conn) Request(timeout time.Duration) (Request, error) {
	_ = c.uc.SetReadDeadline(time.Now().Add(timeout)) // fails on a closed connection only, as does the read
	var r Request
	err := read(c.uc, maxMessage, &r)
	return r, err
}

// Gone blocks until the command has hung up or Close is called. It is of use
// after Request.
func (c *Conn) Gone() {
	_ = c.uc.SetReadDeadline(time.Time{}) // fails on a closed connection only
	_, _ = c.uc.Read(make([]byte, 1))     // anything that ends it means the same
}

// Interrupt ends a Request or Gone that is under way. Answer is not affected.
func (c *Conn) Interrupt() { _ = c.uc.SetReadDeadline(time.Unix(1, 0)) } // fails on a closed connection only

// Answer sends the result. A long error is cut.
func (c *Conn) Answer(a Answer) error {
	a.Error = excerpt.Of(a.Error, maxError)
	return write(c.uc, a)
}
