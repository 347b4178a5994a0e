// Command greeter is a small daemon for the tests: it says $GREETING to who connects to
// one of the sockets that systemd passed, and hangs up.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"strconv"
)

func main() {
	log.SetFlags(0)
	greeting := os.Getenv("GREETING")
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // none: 0
	failed := make(chan error)
	for fd := 3; fd < 3+n; fd++ {
		ln, err := net.FileListener(os.NewFile(uintptr(fd), "socket"))
		if err != nil {
			log.Fatal(err)
		}
		go func() { failed <- greet(ln, greeting) }() // ends with the program
	}
	fmt.Println("greeter says", greeting)
	if err := ready(n); err != nil {
		log.Fatal(err)
	}
	log.Fatal(<-failed)
}

func greet(ln net.Listener, greeting string) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		fmt.Fprintln(c, greeting)
		c.Close()
	}
}

func ready(sockets int) error {
	c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "READY=1\nSTATUS=%d sockets", sockets)
	return err
}
