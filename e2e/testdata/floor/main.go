// Command floor hands connections to another process as fast as the kernel does: it
// accepts -n of them, waits for a line, sends them all over a socket to a copy of
// itself, 253 a message, and says in microseconds how long it took until the copy had
// them, and how long until this process had closed its own and the copy had made each
// a net.Conn, with nothing else to do and one after the other.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// batch is the most that Linux takes in one message (SCM_MAX_FD).
const batch = 253

var (
	addr    = flag.String("addr", "", "`address` to listen at")
	n       = flag.Int("n", 0, "how many connections")
	receive = flag.Bool("receive", false, "be the copy, with the socket as descriptor 3")
)

func main() {
	flag.Parse()
	run := send
	if *receive {
		run = take
	}
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func send() error {
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	other := exec.Command(os.Args[0], "-receive", "-n", fmt.Sprint(*n))
	other.Stderr = os.Stderr
	other.ExtraFiles = []*os.File{os.NewFile(uintptr(ends[1]), "socket")}
	if err := other.Start(); err != nil {
		return err
	}
	fds, err := accept()
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	began := time.Now()
	for rest := fds; len(rest) > 0; rest = rest[min(batch, len(rest)):] {
		if err := unix.Sendmsg(ends[0], []byte{0}, unix.UnixRights(rest[:min(batch, len(rest))]...), nil, 0); err != nil {
			return err
		}
	}
	if _, err := unix.Read(ends[0], make([]byte, 1)); err != nil {
		return err
	}
	passed := time.Since(began)
	for _, c := range open {
		if err := c.Close(); err != nil {
			return err
		}
	}
	if _, err := unix.Read(ends[0], make([]byte, 1)); err != nil {
		return err
	}
	fmt.Println(passed.Microseconds(), time.Since(began).Microseconds())
	return other.Wait()
}

// accept returns the descriptors of n connections.
func accept() ([]int, error) {
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		return nil, err
	}
	fmt.Println("listening")
	var fds []int
	for range *n {
		c, err := ln.Accept()
		if err != nil {
			return nil, err
		}
		rc, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			return nil, err
		}
		err = rc.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
		if err != nil {
			return nil, err
		}
		open = append(open, c)
	}
	return fds, nil
}

// open keeps the connections from being collected.
var open []net.Conn

func take() error {
	oob := make([]byte, unix.CmsgSpace(4*batch))
	var all []int
	for len(all) < *n {
		_, oobn, _, _, err := unix.Recvmsg(3, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			return err
		}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			return err
		}
		for _, m := range messages {
			fds, err := unix.ParseUnixRights(&m)
			if err != nil {
				return err
			}
			all = append(all, fds...)
		}
		if len(messages) == 0 {
			return fmt.Errorf("the other end has gone, after %d of %d descriptors", len(all), *n)
		}
	}
	if _, err := unix.Write(3, []byte{0}); err != nil {
		return err
	}
	for _, fd := range all {
		f := os.NewFile(uintptr(fd), "connection")
		c, err := net.FileConn(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		open = append(open, c)
	}
	_, err := unix.Write(3, []byte{0})
	return err
}
