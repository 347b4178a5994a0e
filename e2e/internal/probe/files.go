package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/notify"
)

// An Opened is a file that a probe has made: the text of the reply to open, as JSON.
type Opened struct {
	Raw     Raw
	Address string // of a socket
}

// open makes a file of a kind and keeps it under a key.
func (p *program) open(args []string) (string, error) {
	key, kind, arg := args[0], args[1], args[2]
	f, err := p.newFile(kind, arg)
	if err != nil {
		return "", fmt.Errorf("make a %s: %w", kind, err)
	}
	p.files[key] = f
	fds, err := p.descriptors([]string{key})
	if err != nil {
		return "", err
	}
	opened := Opened{Raw: rawDescriptor(fds[0], key)}
	switch f := f.(type) {
	case net.Listener:
		opened.Address = f.Addr().String()
	case net.PacketConn:
		opened.Address = f.LocalAddr().String()
	case vsock:
		opened.Address = f.address
	}
	text, err := json.Marshal(opened)
	return string(text), err
}

func (p *program) newFile(kind, arg string) (syscall.Conn, error) {
	switch kind {
	case "memfd":
		return notify.Memfd("probe", []byte(arg))
	case "tcp", "unix", "unixpacket":
		return newListener(kind, arg)
	case "udp", "unixgram": // never closed, which would remove the path
		c, err := net.ListenPacket(kind, arg)
		conn, _ := c.(syscall.Conn)
		return conn, err
	case "vsock", "netlink", "fifo", "queue":
		return newForeign(kind, arg)
	case "pipe": // arg is which end to keep under the key; the other is held open
		r, w, err := os.Pipe()
		if arg == "w" {
			r, w = w, r
		}
		p.others = append(p.others, w.Close)
		return r, err
	case "path":
		fd, err := unix.Open(arg, unix.O_PATH|unix.O_CLOEXEC, 0)
		return os.NewFile(uintptr(fd), arg), err
	case "file":
		return os.Open(arg)
	case "pidfd":
		return openPidfd(arg)
	case "passed": // a listener of that name
		if _, err := p.listeners([]string{arg}); err != nil {
			return nil, err
		}
		return p.claims[arg][0].(syscall.Conn), nil
	case "accepted": // a connection of such a one
		if _, err := p.listeners([]string{arg}); err != nil {
			return nil, err
		}
		conn, err := p.claims[arg][0].Accept()
		if err != nil {
			return nil, err
		}
		return conn.(syscall.Conn), nil
	case "unconnected":
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		return os.NewFile(uintptr(fd), kind), err
	}
	return nil, errors.New("unknown kind")
}

func newListener(network, address string) (syscall.Conn, error) {
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return ln.(syscall.Conn), nil
}

func (p *program) named(keys []string) ([]syscall.Conn, error) {
	var files []syscall.Conn
	for _, k := range keys {
		f, ok := p.files[k]
		if !ok {
			return nil, fmt.Errorf("no file %q was made", k)
		}
		files = append(files, f)
	}
	return files, nil
}

// descriptors returns the numbers of files that stay open.
func (p *program) descriptors(keys []string) (fds []int, err error) {
	files, err := p.named(keys)
	for _, f := range files {
		rc, rerr := f.SyscallConn()
		if rerr != nil {
			return nil, rerr
		}
		err = errors.Join(err, rc.Control(func(fd uintptr) { fds = append(fds, int(fd)) }))
	}
	return fds, err
}

func (p *program) store(args []string) (string, error) {
	files, err := p.named(args[1:])
	if err != nil {
		return "", err
	}
	return "", p.notifier.Store(context.Background(), args[0], files...)
}

func (p *program) unpolled(args []string) (string, error) {
	files, err := p.named(args[1:])
	if err != nil {
		return "", err
	}
	for i := range files {
		files[i] = notify.Unpolled(files[i])
	}
	return "", p.notifier.Store(context.Background(), args[0], files...)
}

func (p *program) remove(args []string) (string, error) {
	return "", p.notifier.Remove(context.Background(), args[0])
}

// close closes a file, and the other ends of all pipes.
func (p *program) close(args []string) (string, error) {
	var errs []error
	for _, other := range p.others {
		errs = append(errs, other())
	}
	p.others = nil
	if f, ok := p.files[args[0]].(interface{ Close() error }); ok {
		errs = append(errs, f.Close())
	}
	delete(p.files, args[0])
	return "", errors.Join(errs...)
}

// manyPrefix begins the names of the files that many stores. The rest is the content.
const manyPrefix = "many."

// many stores memfds, each under another name that is also its content, and
// measures that.
func (p *program) many(args []string) (string, error) {
	ctx := context.Background()
	files := make([]*os.File, number(args[0]))
	for i := range files {
		f, err := notify.Memfd("many", []byte(strconv.Itoa(i)))
		if err != nil {
			return "", err
		}
		defer f.Close()
		files[i] = f
	}
	begin := time.Now()
	for i, f := range files {
		if err := p.notifier.Store(ctx, manyPrefix+strconv.Itoa(i), f); err != nil {
			return "", err
		}
	}
	err := p.notifier.Barrier(ctx)
	return strconv.Itoa(int(time.Since(begin))), err
}

// check claims the files of many and counts those whose content agrees with the name.
func (p *program) check(args []string) (string, error) {
	good := 0
	for i := range number(args[0]) {
		d, err := p.set.One(manyPrefix + strconv.Itoa(i))
		if err != nil {
			return "", err
		}
		f := d.File()
		content, err := notify.ReadMemfd(f)
		if err = errors.Join(err, f.Close()); err != nil {
			return "", err
		}
		if strings.TrimPrefix(d.Name, manyPrefix) == string(content) {
			good++
		}
	}
	return strconv.Itoa(good), nil
}
