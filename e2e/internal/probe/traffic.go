package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/activation"
)

// listeners claims the listeners called by a name and returns their addresses in order.
func (p *program) listeners(args []string) (string, error) {
	listeners, err := p.set.Listeners(args[0])
	if err != nil {
		return "", err
	}
	p.claims[args[0]] = listeners
	return addresses(listeners), nil
}

func addresses(listeners []net.Listener) string {
	var list []string
	for _, ln := range listeners {
		list = append(list, ln.Addr().String())
	}
	return strings.Join(list, " ")
}

// serve reads from a client, on the descriptor of that name and index, answers "pong", and
// returns the text it has read.
func (p *program) serve(args []string) (string, error) {
	name, index := args[0], number(args[1])
	if listeners, ok := p.claims[name]; ok {
		return acceptOne(listeners[index])
	}
	for _, d := range p.set.All() {
		if d.Name == name {
			return p.exchange(name, index, d.Kind)
		}
	}
	return "", fmt.Errorf("nothing called %q was passed", name)
}

func (p *program) exchange(name string, index int, kind activation.Kind) (string, error) {
	switch kind {
	case activation.KindListener:
		if _, err := p.listeners([]string{name}); err != nil {
			return "", err
		}
		return acceptOne(p.claims[name][index])
	case activation.KindDatagram:
		conns, err := p.set.PacketConns(name)
		if err != nil {
			return "", err
		}
		return answerPacket(conns[index])
	case activation.KindConnection:
		conns, err := p.set.Conns(name)
		if err != nil {
			return "", err
		}
		return answer(conns[index])
	}
	return useFile(p.set.Files(name)[index], kind)
}

func acceptOne(ln net.Listener) (string, error) {
	conn, err := ln.Accept()
	if err != nil {
		return "", err
	}
	return answer(conn)
}

func answer(conn net.Conn) (string, error) {
	defer conn.Close()
	buf := make([]byte, 64)
	n, err := conn.Read(buf)
	if err != nil {
		return "", err
	}
	_, err = io.WriteString(conn, "pong")
	return string(buf[:n]), err
}

// answerPacket answers unless the client has no address.
func answerPacket(conn net.PacketConn) (string, error) {
	defer conn.Close()
	buf := make([]byte, 64)
	n, from, err := conn.ReadFrom(buf)
	if err != nil {
		return "", err
	}
	if from != nil && from.String() != "" {
		_, err = conn.WriteTo([]byte("pong"), from)
	}
	return string(buf[:n]), err
}

func useFile(file *os.File, kind activation.Kind) (string, error) {
	defer file.Close()
	switch kind {
	case activation.KindRegular:
		text, err := io.ReadAll(file)
		return string(text), err
	case activation.KindNetlink:
		return askKernel(file)
	case activation.KindMessageQueue:
		return receive(file)
	}
	if kind == activation.KindSpecial { // a terminal
		if _, err := file.WriteString("ping"); err != nil {
			return "", err
		}
	}
	buf := make([]byte, len("ping"))
	n, err := io.ReadFull(file, buf) // a terminal repeats byte by byte
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

// receive takes one message from a queue, mq_receive(3), which read(2) cannot.
func receive(file *os.File) (string, error) {
	buf := make([]byte, 8192)
	n, err := mqueue(file.Fd(), unix.SYS_MQ_TIMEDRECEIVE, buf)
	return string(buf[:n]), err
}

// post sends one message to the queue of that name, mq_open(3) and mq_send(3).
func (p *program) post(args []string) (string, error) {
	path, err := unix.BytePtrFromString(strings.TrimPrefix(args[0], "/"))
	if err != nil {
		return "", err
	}
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(path)), unix.O_WRONLY|unix.O_CLOEXEC, 0, 0, 0, 0)
	if errno != 0 {
		return "", os.NewSyscallError("mq_open", errno)
	}
	defer unix.Close(int(fd))
	_, err = mqueue(fd, unix.SYS_MQ_TIMEDSEND, []byte(args[1]))
	return "", err
}

func mqueue(fd, call uintptr, buf []byte) (int, error) {
	n, _, errno := unix.Syscall6(call, fd, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (p *program) write(args []string) (string, error) {
	f, err := os.OpenFile(args[0], os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	_, err = io.WriteString(f, args[1])
	return "", errors.Join(err, f.Close())
}

func (p *program) connect(args []string) (string, error) {
	dialer := net.Dialer{LocalAddr: &net.UnixAddr{Net: args[0], Name: args[2]}}
	conn, err := dialer.Dial(args[0], args[1])
	if err != nil {
		return "", err
	}
	p.others = append(p.others, conn.Close)
	_, err = io.WriteString(conn, "ping")
	return "", err
}

// listen claims or binds listeners as a program with package reexec does.
func (p *program) listen(args []string) (string, error) {
	var listeners []net.Listener
	for range number(args[3]) {
		ln, err := p.upgrader.Listen(context.Background(), args[0], args[1], args[2])
		if err != nil {
			return "", err
		}
		listeners = append(listeners, ln)
	}
	return addresses(listeners), nil
}

func (p *program) ready([]string) (string, error) {
	return "", p.upgrader.Ready(context.Background())
}
