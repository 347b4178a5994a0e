// Command stranger is a process that must not use a service's control socket.
//
//	stranger ask ADDRESS VERB     prints the answer of the process there
//	stranger squat ADDRESS ...    listens there and answers each request with success
//
// An existing file at the path is replaced; an address that begins with "@"
// is abstract.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

func main() {
	var err error
	switch os.Args[1] {
	case "ask":
		err = ask(os.Args[2], os.Args[3])
	case "squat":
		err = squat(os.Args[2:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func ask(address, verb string) error {
	c, err := net.Dial("unixpacket", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_, sent := fmt.Fprintf(c, `{"version":1,"verb":%q}`, verb)
	buf := make([]byte, 64<<10)
	n, err := c.Read(buf)
	if errors.Is(err, syscall.ECONNRESET) { // it has hung up on our request; its answer comes after that
		n, err = c.Read(buf)
	}
	if n > 0 {
		fmt.Println(string(buf[:n]))
		return nil
	}
	return fmt.Errorf("no answer: %w, %w", sent, err)
}

// squat says "ready" when it listens at all addresses.
func squat(addresses []string) error {
	asked := make(chan net.Conn)
	for _, address := range addresses {
		l, err := listen(address)
		if err != nil {
			return err
		}
		go accept(l, asked) // ends with the process
	}
	fmt.Println("ready")
	for c := range asked {
		buf := make([]byte, 64<<10)
		n, _ := c.Read(buf) // nothing, if the other side found out
		fmt.Fprintf(os.Stderr, "asked %q\n", buf[:n])
		fmt.Fprint(c, `{"generation":2,"pid":1,"state":"serving"}`)
		c.Close()
	}
	return nil
}

func listen(address string) (*net.UnixListener, error) {
	bound := address
	if !strings.HasPrefix(address, "@") {
		bound += ".stranger"
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: bound, Net: "unixpacket"})
	if err != nil || bound == address {
		return l, err
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(bound, 0o666); err != nil {
		return nil, err
	}
	return l, os.Rename(bound, address)
}

func accept(l *net.UnixListener, asked chan<- net.Conn) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		asked <- c
	}
}
