package tableflip

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec"
)

// Listener is a listener that another process can inherit.
type Listener interface {
	net.Listener
	syscall.Conn
}

// PacketConn is a packet socket that another process can inherit.
type PacketConn interface {
	net.PacketConn
	syscall.Conn
}

// Conn is a connection that another process can inherit.
type Conn interface {
	net.Conn
	syscall.Conn
}

// Fds has the sockets and files that the next process inherits, by network and address, or by
// name. Ask for inherited ones before Upgrader.Ready.
type Fds struct {
	engine *reexec.Upgrader
	lc     *net.ListenConfig

	mu        sync.Mutex
	ready     bool                    // Ready was called: all inherited files were asked for
	kept      map[string]*reexec.Kept // files that this process has added or asked for, by name
	files     []string                // arguments of AddFile and File
	inherited []string                // files of the predecessor that File has not returned
	list      *reexec.Kept            // has files, for Files of the next process
	paths     map[string]string       // unix sockets that stay with the program, by name
}

// listName is the name of the list of files.
const listName = "tableflip-files"

// newFds reads the list of the inherited files.
func newFds(engine *reexec.Upgrader, lc *net.ListenConfig) (*Fds, error) {
	if lc == nil {
		lc = &net.ListenConfig{}
	}
	f := &Fds{engine: engine, lc: lc, kept: map[string]*reexec.Kept{}, paths: map[string]string{}}
	all, err := engine.Claim(listName)
	for _, k := range all {
		var b []byte
		if b, err = notify.ReadMemfd(k.File); err == nil {
			err = json.Unmarshal(b, &f.inherited)
		}
		if err != nil {
			return nil, fmt.Errorf("list of inherited files: %w", err)
		}
		f.list = k
	}
	return f, err
}

// The kinds of sockets and files. They begin the names in the engine.
const (
	listenKind = "listener"
	packetKind = "packet"
	connKind   = "conn"
	fileKind   = "fd"
)

// nameOf returns the name of a socket or file in the engine.
func nameOf(parts ...string) string {
	for i, p := range parts {
		var b strings.Builder
		for _, c := range []byte(p) {
			if c <= ' ' || c > '~' || c == ':' || c == '=' {
				fmt.Fprintf(&b, "=%02X", c)
			} else {
				b.WriteByte(c)
			}
		}
		parts[i] = b.String()
	}
	return strings.Join(parts, "-")
}

func (f *Fds) isReady() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = true
}

// add keeps a duplicate of file under name, instead of an earlier one. It runs under mu.
func (f *Fds) add(name string, file syscall.Conn) error {
	k, err := f.engine.Keep(name, file)
	if k == nil {
		return err
	}
	if old := f.kept[name]; old != nil {
		_ = old.Forget() // the new one counts
	}
	f.kept[name] = k
	return nil // on an error the engine stores the file later
}

// claim returns the inherited file called name, nil if there is none. It runs under mu.
func (f *Fds) claim(name string) (*os.File, error) {
	if f.ready {
		return nil, nil
	}
	all, err := f.engine.Claim(name)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	f.kept[name] = all[len(all)-1] // one name is one file
	return f.kept[name].File, nil
}

// AddConn adds a connection. The caller may close conn.
func (f *Fds) AddConn(network, addr string, conn Conn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.add(nameOf(connKind, network, addr), conn)
}

// Conn returns an inherited connection, or nil.
func (f *Fds) Conn(network, addr string) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	file, err := f.claim(nameOf(connKind, network, addr))
	if file == nil || err != nil {
		return nil, err
	}
	c, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("can't inherit connection %s %s: %w", network, addr, err)
	}
	return c, nil
}

// AddFile adds a file. The caller may close it.
func (f *Fds) AddFile(name string, file *os.File) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.add(nameOf(fileKind, name), file); err != nil {
		return err
	}
	return f.note(name)
}

// File returns an inherited file, or nil. The caller closes it.
func (f *Fds) File(name string) (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file(name)
}

// Files returns the inherited files that File has not returned. The caller closes them.
func (f *Fds) Files() ([]*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*os.File
	for _, name := range f.inherited {
		file, err := f.file(name)
		if err != nil {
			return all, err
		}
		if file != nil {
			all = append(all, file)
		}
	}
	f.inherited = nil
	return all, nil
}

// file returns a duplicate of an inherited file. It runs under mu.
func (f *Fds) file(name string) (*os.File, error) {
	file, err := f.claim(nameOf(fileKind, name))
	if file == nil || err != nil {
		return nil, err
	}
	d, err := fd.DupOf(file)
	if err != nil {
		return nil, err
	}
	return d.File(fileKind + ":" + name + ":"), f.note(name)
}

// note adds name to the list of files. It runs under mu.
func (f *Fds) note(name string) error {
	for _, n := range f.files {
		if n == name {
			return nil
		}
	}
	f.files = append(f.files, name)
	text, err := json.Marshal(f.files)
	if err != nil {
		return err
	}
	m, err := notify.Memfd(listName, text)
	if err != nil {
		return err
	}
	defer m.Close() // Keep duplicates it
	old := f.list
	k, err := f.engine.Keep(listName, m)
	if k == nil {
		return err
	}
	if f.list = k; old != nil {
		_ = old.Forget() // as in add
	}
	return nil
}

// unlink removes the paths of the unix sockets. The engine removes some of them.
func (f *Fds) unlink() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range f.paths {
		_ = os.Remove(path) // the program may have removed it
	}
}

// notePath notes the path of a unix socket, for unlink. It runs under mu.
func (f *Fds) notePath(name string, a net.Addr) {
	if u, ok := a.(*net.UnixAddr); ok && u.Name != "" && !strings.HasPrefix(u.Name, "@") {
		f.paths[name] = u.Name
	}
}

// handOn keeps c for the next process when the program closes its socket.
func (f *Fds) handOn(name string, c syscall.Conn) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.engine.Draining() {
		return nil
	}
	return f.add(name, c)
}

func (f *Fds) newListener(network, addr string) (net.Listener, error) {
	return f.lc.Listen(context.Background(), network, addr)
}

func (f *Fds) newPacketConn(network, addr string) (net.PacketConn, error) {
	return f.lc.ListenPacket(context.Background(), network, addr)
}

// unusable closes c, which has no SyscallConn, and returns the error.
func unusable(c io.Closer, want string) error {
	_ = c.Close() // the error says enough
	return fmt.Errorf("%T doesn't implement tableflip.%s", c, want)
}
