// Package control is the conversation of an operator's command, such as
// `myapp reload`, with the main process of a service.
//
// The main process listens on an AF_UNIX SOCK_SEQPACKET socket: in the unit's
// runtime directory, where there is one, else in the abstract namespace under a
// name that carries its pid. The command sends one [Request], waits, and gets one
// [Answer]; hanging up before that takes the request back. Both are one JSON
// value each. Unknown fields are ignored; an unknown verb gets an answer with
// an error, so that the two programs need not be of one version.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// Verbs.
const Upgrade = "upgrade" // replace the process; the answer comes when it is done

// Request is what the command asks.
type Request struct {
	Version int    `json:"version"` // 1
	Verb    string `json:"verb"`
}

// Answer is the result. Error is empty on success.
type Answer struct {
	Error      string `json:"error,omitempty"`
	Generation int    `json:"generation,omitempty"` // the one that serves now
	PID        int    `json:"pid,omitempty"`
}

// maxMessage bounds a request and an answer.
const maxMessage = 64 << 10

// maxPath is the longest path that fits into sockaddr_un with its NUL, unix(7).
const maxPath = 107

// Address returns where the main process pid listens: a path, or an abstract name
// that begins with "@". The environment decides, which systemd makes the same for
// ExecStart= and ExecReload= processes (systemd.exec(5), RuntimeDirectory=).
func Address(lookup func(string) (string, bool), pid int) string {
	if dirs, ok := lookup("RUNTIME_DIRECTORY"); ok && dirs != "" {
		dir, _, _ := strings.Cut(dirs, ":")
		if p := filepath.Join(dir, "control.sock"); len(p) <= maxPath {
			return p
		}
	}
	return "@cutover/" + strconv.Itoa(pid)
}

// Listen opens the socket of the process pid for address. A socket in a directory
// is not visible under its name before Publish, so that a successor can be sure
// of it while its predecessor still answers.
func Listen(address string, pid int) (*Listener, error) {
	l := &Listener{address: address, bound: address}
	if !strings.HasPrefix(address, "@") {
		l.bound = filepath.Join(filepath.Dir(address), "."+strconv.Itoa(pid)+".sock")
		_ = os.Remove(l.bound) // of a process that had our pid and is dead
	}
	ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: l.bound, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("control socket %s (is another process using it?): %w", address, err)
	}
	ln.SetUnlinkOnClose(false) // the name belongs to the next main process by then
	l.ln = ln
	return l, nil
}

// Listener is the main process's end.
type Listener struct {
	ln      *net.UnixListener
	address string // as a command looks for it
	bound   string // where the socket is now
}

// Publish makes the socket the one that commands reach. What was there under that
// name, the predecessor's, is replaced in one step.
func (l *Listener) Publish() error {
	if l.bound == l.address {
		return nil
	}
	if err := os.Rename(l.bound, l.address); err != nil {
		return fmt.Errorf("publish control socket: %w", err)
	}
	l.bound = l.address
	return nil
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
		if err := trusted(uc, 0, os.Geteuid()); err == nil {
			return c, nil
		}
		_ = c.Answer(Answer{Error: "permission denied: only root and the service's own user may ask"})
		_ = c.Close()
	}
}

// trusted checks the uid of the process at the other end of c.
func trusted(c *net.UnixConn, allowed ...int) error {
	peer, err := fd.PeerOf(c)
	if err != nil {
		return err
	}
	for _, uid := range allowed {
		if peer.UID == uid {
			return nil
		}
	}
	return fmt.Errorf("process %d of user %d is at the other end", peer.PID, peer.UID)
}

// Conn is one conversation.
type Conn struct{ uc *net.UnixConn }

// Close hangs up.
func (c *Conn) Close() error { return c.uc.Close() }

// Request reads what the command asks, within timeout.
func (c *Conn) Request(timeout time.Duration) (Request, error) {
	_ = c.uc.SetReadDeadline(time.Now().Add(timeout)) // fails on a closed connection only, as does the read
	var r Request
	err := read(c.uc, &r)
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

// Answer sends the result.
func (c *Conn) Answer(a Answer) error { return write(c.uc, a) }

// Ask sends r to the process that listens at address and waits for its answer
// until ctx ends. If pid is not 0, that process must be the one which listens.
func Ask(ctx context.Context, address string, pid int, r Request) (Answer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", address)
	if err != nil {
		return Answer{}, fmt.Errorf("the main process does not answer: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	uc := conn.(*net.UnixConn)
	if err := expect(uc, pid); err != nil {
		return Answer{}, err
	}
	r.Version = 1
	if err := write(uc, r); err != nil {
		return Answer{}, err
	}
	var a Answer
	if err := read(uc, &a); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Answer{}, fmt.Errorf("no answer from the main process: %w", err)
	}
	return a, nil
}

// expect refuses a listener that is not the process we mean to talk to: whoever
// squats on the name could otherwise make a reload look good.
func expect(c *net.UnixConn, pid int) error {
	peer, err := fd.PeerOf(c)
	if err != nil {
		return err
	}
	if pid != 0 && peer.PID != pid {
		return fmt.Errorf("control socket belongs to process %d, the main process is %d", peer.PID, pid)
	}
	return nil
}

func write(c *net.UnixConn, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = c.Write(b)
	return err
}

func read(c *net.UnixConn, v any) error {
	buf := make([]byte, maxMessage)
	n, err := c.Read(buf)
	if err != nil {
		return err
	}
	if n == 0 {
		return errors.New("the other side hung up")
	}
	if err := json.Unmarshal(buf[:n], v); err != nil {
		return fmt.Errorf("unreadable message: %w", err)
	}
	return nil
}
