// Command ports serves each socket that its arguments name, NAME=NETWORK=ADDRESS, and says
// of each connection or datagram which generation answers. `ports ask NETWORK ADDRESS` is
// its client.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/reexec"
)

func main() {
	run := serve
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "reload":
			run = reexec.Reload
		case "ask":
			run = ask
		case "crash":
			os.Exit(2)
		}
	}
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) (err error) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	line := fmt.Sprintf("version=ports generation=%d pid=%d\n", u.Generation(), os.Getpid())
	var workers sync.WaitGroup
	defer workers.Wait()
	for _, arg := range os.Args[1:] {
		name, rest, _ := strings.Cut(arg, "=")
		network, address, _ := strings.Cut(rest, "=")
		if strings.HasPrefix(network, "udp") || network == "unixgram" {
			c, err := u.ListenPacket(ctx, name, network, address)
			if err != nil {
				return err
			}
			defer c.Close()
			workers.Go(func() { answer(c, line) }) // ends when c is closed
			continue
		}
		l, err := u.Listen(ctx, name, network, address)
		if err != nil {
			return err
		}
		defer l.Close()
		workers.Go(func() { accept(l, line) }) // ends when l is closed
	}
	if err := u.Ready(ctx); err != nil {
		return err
	}
	return u.Drain(ctx)
}

func accept(l net.Listener, line string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, line) // a client that is gone notices by itself
		_ = c.Close()
	}
}

func answer(c net.PacketConn, line string) {
	for buffer := make([]byte, 512); ; {
		_, from, err := c.ReadFrom(buffer)
		if err != nil {
			return
		}
		_, _ = c.WriteTo([]byte(line), from) // so here
	}
}

// ask prints the answers of sockets.
func ask(ctx context.Context) (err error) {
	for i := 2; i+1 < len(os.Args); i += 2 {
		fmt.Printf("%s %s: ", os.Args[i], os.Args[i+1])
		if failed := askOne(ctx, os.Args[i], os.Args[i+1]); failed != nil {
			err = errors.Join(err, failed)
			fmt.Println(failed)
		}
	}
	return err
}

// askOne prints the answer of one socket, which has two seconds.
func askOne(ctx context.Context, network, address string) error {
	if network == "vsock" {
		return askVsock(address)
	}
	d := net.Dialer{}
	if network == "unixgram" {
		d.LocalAddr = &net.UnixAddr{Net: network, Name: fmt.Sprintf("@ask-%d", os.Getpid())}
	}
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if network == "udp" || network == "unixgram" {
		if _, err := io.WriteString(c, "?"); err != nil {
			return err
		}
	}
	buffer := make([]byte, 512)
	n, err := c.Read(buffer)
	os.Stdout.Write(buffer[:n])
	if n > 0 {
		return nil
	}
	return err
}

// askVsock is ask for the port of a vsock address on this machine. The kernel gives up a
// connection after two seconds.
func askVsock(address string) error {
	port, err := strconv.ParseUint(address[strings.LastIndexByte(address, ':')+1:], 10, 32)
	if err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(s), "vsock")
	defer f.Close()
	if err := unix.Connect(s, &unix.SockaddrVM{CID: unix.VMADDR_CID_LOCAL, Port: uint32(port)}); err != nil {
		return os.NewSyscallError("connect", err)
	}
	_, err = io.Copy(os.Stdout, f)
	return err
}
