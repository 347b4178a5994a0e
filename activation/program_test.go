//go:build linux

package activation_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"github.com/cutover-go/cutover/activation"
	"golang.org/x/sys/unix"
)

// view is what a program sees of one descriptor.
type view struct {
	Name, Kind, Network, Addr, Peer string
	Cloexec, Nonblock               bool
}

// look describes the descriptors in s, which must be all that were passed.
func look(s *activation.Set) []view {
	var views []view
	for i, d := range s.All() {
		fdFlags, _ := unix.FcntlInt(uintptr(3+i), unix.F_GETFD, 0)
		status, _ := unix.FcntlInt(uintptr(3+i), unix.F_GETFL, 0)
		views = append(views, view{
			Name: d.Name, Kind: d.Kind.String(), Network: d.Network, Addr: text(d.Addr), Peer: text(d.Peer),
			Cloexec: fdFlags&unix.FD_CLOEXEC != 0, Nonblock: status&unix.O_NONBLOCK != 0,
		})
	}
	return views
}

func text(a net.Addr) string {
	if a == nil {
		return ""
	}
	return a.String()
}

// listenVariables returns what is left of LISTEN_* in the environment.
func listenVariables() []string {
	var left []string
	for _, v := range os.Environ() {
		if strings.HasPrefix(v, "LISTEN_") {
			left = append(left, v)
		}
	}
	return left
}

// reported is what the program "report" writes.
type reported struct {
	Views       []view
	Strings     []string // each descriptor's String
	Duplicates  []string
	Environment []string // LISTEN_* after Take
	OpenAfter   []string // passed descriptors that Close of the Set has left open
}

func report() (any, error) {
	passed, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // 0 if it is not set
	set, err := activation.Take()
	if err != nil {
		return nil, err
	}
	r := reported{Views: look(set), Duplicates: set.Duplicates(), Environment: listenVariables()}
	for _, d := range set.All() {
		r.Strings = append(r.Strings, d.String())
	}
	if err := errors.Join(set.Close(), set.Close()); err != nil {
		return nil, err
	}
	if rest := set.All(); len(rest) != 0 {
		return nil, fmt.Errorf("after Close All is %v", rest)
	}
	for _, open := range openDescriptors() {
		number, target, _ := strings.Cut(open, " ")
		if n, _ := strconv.Atoi(number); n >= 3 && n < 3+passed && !strings.HasPrefix(target, "anon_inode:") { // the runtime's poller
			r.OpenAfter = append(r.OpenAfter, open)
		}
	}
	return r, nil
}

// conversation is what the program "converse" writes.
type conversation struct {
	View view
	Got  string // what came over the descriptor
}

// converse exchanges "ping" for "pong" over the one descriptor called "it".
func converse() (any, error) {
	set, err := activation.Take()
	if err != nil {
		return nil, err
	}
	defer set.Close()
	views := look(set)
	d, err := set.One("it")
	if err != nil {
		return nil, err
	}
	got, err := exchange(d)
	return conversation{View: views[0], Got: got}, err
}

func exchange(d *activation.Descriptor) (string, error) {
	switch d.Kind {
	case activation.KindListener:
		ln, err := d.Listener()
		if err != nil {
			return "", err
		}
		defer ln.Close()
		conn, err := ln.Accept()
		if err != nil {
			return "", err
		}
		return answer(conn)
	case activation.KindDatagram:
		conn, err := d.PacketConn()
		if err != nil {
			return "", err
		}
		return answerPacket(conn)
	case activation.KindConnection:
		conn, err := d.Conn()
		if err != nil {
			return "", err
		}
		return answer(conn)
	}
	return useFile(d)
}

func answer(conn net.Conn) (string, error) {
	defer conn.Close()
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if err != nil {
		return "", err
	}
	_, err = conn.Write([]byte("pong"))
	return string(buf[:n]), err
}

func answerPacket(conn net.PacketConn) (string, error) {
	defer conn.Close()
	buf := make([]byte, 64)
	n, from, err := conn.ReadFrom(buf)
	if err != nil {
		return "", err
	}
	_, err = conn.WriteTo([]byte("pong"), from)
	return string(buf[:n]), err
}

func useFile(d *activation.Descriptor) (string, error) {
	kind := d.Kind
	file := d.File()
	defer file.Close()
	if file.Name() != "it" {
		return "", fmt.Errorf("file is called %q", file.Name())
	}
	switch kind {
	case activation.KindRegular:
		text, err := io.ReadAll(file)
		return string(text), err
	case activation.KindSpecial:
		n, err := file.WriteString("ping")
		return fmt.Sprintf("%d bytes gone", n), err
	case activation.KindNetlink:
		return askKernel(file)
	case activation.KindMessageQueue:
		return receive(file)
	}
	buf := make([]byte, 64)
	n, err := file.Read(buf)
	return string(buf[:n]), err
}

// askKernel asks for the loopback interface over route netlink.
func askKernel(file *os.File) (string, error) {
	request := unix.NlMsghdr{Len: unix.SizeofNlMsghdr + unix.SizeofIfInfomsg, Type: unix.RTM_GETLINK, Flags: unix.NLM_F_REQUEST}
	message := make([]byte, request.Len)
	*(*unix.NlMsghdr)(unsafe.Pointer(&message[0])) = request
	(*unix.IfInfomsg)(unsafe.Pointer(&message[unix.SizeofNlMsghdr])).Index = 1
	if _, err := file.Write(message); err != nil {
		return "", err
	}
	buf := make([]byte, 16384)
	n, err := file.Read(buf)
	if err != nil {
		return "", err
	}
	replies, err := syscall.ParseNetlinkMessage(buf[:n])
	if err != nil || len(replies) == 0 || replies[0].Header.Type != unix.RTM_NEWLINK {
		return "", fmt.Errorf("netlink reply %v: %v", replies, err)
	}
	return "RTM_NEWLINK", nil
}

// receive takes one message from a queue, mq_receive(3).
func receive(file *os.File) (string, error) {
	buf := make([]byte, 8192)
	rc, err := file.SyscallConn()
	if err != nil {
		return "", err
	}
	var n uintptr
	var errno syscall.Errno
	err = rc.Control(func(fd uintptr) {
		n, _, errno = unix.Syscall6(unix.SYS_MQ_TIMEDRECEIVE, fd, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
	})
	if err != nil || errno != 0 {
		return "", fmt.Errorf("mq_receive: %v, %w", err, errno)
	}
	return string(buf[:n]), nil
}

// twice takes from several goroutines at once and counts what each got.
func twice() (any, error) {
	counts := make([]int, 8)
	errs := make([]error, len(counts))
	var takers sync.WaitGroup
	for i := range counts {
		takers.Go(func() {
			set, err := activation.Take()
			if errs[i] = err; err == nil {
				counts[i] = len(set.All())
				errs[i] = set.Close()
			}
		})
	}
	takers.Wait()
	return counts, errors.Join(errs...)
}

// leave claims by name and says what is left over.
func leave() (any, error) {
	set, err := activation.Take()
	if err != nil {
		return nil, err
	}
	defer set.Close()
	listeners, err := set.Listeners("http")
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, ln := range listeners {
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	for _, d := range set.All() {
		if d.Name == "released" {
			defer unix.Close(d.Release())
		}
	}
	return map[string][]string{"claimed": addrs, "left": set.Names()}, nil
}

// broken expects Take to refuse, and says why and what is still open.
func broken() (any, error) {
	set, err := activation.Take()
	if set != nil || !errors.Is(err, activation.ErrEnvironment) {
		return nil, fmt.Errorf("Take: %v, %v", set, err)
	}
	_, open := unix.FcntlInt(3, unix.F_GETFD, 0)
	return map[string]string{"error": err.Error(), "descriptor 3": fmt.Sprint(open), "left": strings.Join(listenVariables(), " ")}, nil
}

// bystander inherited an environment that is meant for another process.
func bystander() (any, error) {
	_ = os.Setenv("LISTEN_PID", fmt.Sprint(os.Getppid()))
	set, err := activation.Take()
	if err != nil {
		return nil, err
	}
	_, open := unix.FcntlInt(3, unix.F_GETFD, 0)
	return map[string]string{"all": fmt.Sprint(set.All()), "descriptor 3": fmt.Sprint(open), "left": strings.Join(listenVariables(), " ")}, set.Close()
}
