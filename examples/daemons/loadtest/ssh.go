package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

// lines is the length of a long session, in lines and in seconds.
const lines = 20

// sshLoad has eight sessions of 20 lines, and short ones.
func sshLoad(address string, l *load.Load) error {
	say, err := sshClient(address)
	if err != nil {
		return err
	}
	for range 8 {
		l.Work.Go(func() {
			text, err := say(fmt.Sprint(lines))
			l.Note("kept", complete(text, lines, err))
		})
	}
	l.Each("new", 2, 500*time.Millisecond, func(int) error {
		text, err := say("1")
		return complete(text, 1, err)
	})
	return nil
}

// complete returns an error unless text has the lines 1 to n.
func complete(text string, n int, err error) error {
	want := ""
	for i := range n {
		want += fmt.Sprintln(i + 1)
	}
	if err != nil || text != want {
		return fmt.Errorf("%q instead of %d lines: %v", text, n, err)
	}
	return nil
}

// sshClient returns a function that runs a command on the server: with OpenSSH if it is
// installed, else with golang.org/x/crypto/ssh. Both check that the host key stays the same.
func sshClient(address string) (say func(command string) (string, error), err error) {
	path, err := exec.LookPath("ssh")
	if err != nil {
		say = goClient(address)
		_, err = say("0") // learns the host key
		return say, err
	}
	dir, err := os.MkdirTemp("", "ssh")
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	say = func(command string) (string, error) {
		var problems bytes.Buffer
		cmd := exec.Command(path, "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new",
			"-o", "UserKnownHostsFile="+filepath.Join(dir, "known"), "-p", port, "user@"+host, command)
		cmd.Stderr = &problems
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, &problems)
		}
		return string(out), err
	}
	_, err = say("0") // learns the host key
	return say, err
}

func goClient(address string) func(command string) (string, error) {
	var known ssh.PublicKey
	config := &ssh.ClientConfig{User: "user", HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if known != nil && string(known.Marshal()) != string(key.Marshal()) {
			return errors.New("another host key")
		}
		if known == nil {
			known = key // of the first connection, which is alone
		}
		return nil
	}}
	return func(command string) (string, error) {
		c, err := ssh.Dial("tcp", address, config)
		if err != nil {
			return "", err
		}
		defer c.Close()
		s, err := c.NewSession()
		if err != nil {
			return "", err
		}
		out, err := s.Output(command)
		return string(out), err
	}
}
