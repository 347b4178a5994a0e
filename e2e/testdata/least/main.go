// Command least asks a server of testdata/speed with -mode least to reload, and waits for the
// end of the connection.
package main

import (
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	if err := ask("@speed-least/" + os.Getenv("MAINPID")); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n") // there is no other place to say so
		os.Exit(1)
	}
}

func ask(address string) error {
	s, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(s, &unix.SockaddrUnix{Name: address}); err != nil {
		return err
	}
	_, err = unix.Read(s, make([]byte, 1))
	return err
}
