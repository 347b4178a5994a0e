//go:build linux

package tableflip_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/cutover-go/cutover/reexec/tableflip"
)

// This file has the programs that have no counterpart in tableflip.

func stopsBeforeReady(u *tableflip.Upgrader) error {
	if _, err := u.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	u.Stop()
	if err := u.Ready(); err != nil {
		return err
	}
	<-u.Exit()
	u.Stop()
	return nil
}

// finishesConnection has a connection during the upgrade.
func finishesConnection(u *tableflip.Upgrader) error {
	ln, err := u.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := u.Ready(); err != nil {
		return err
	}
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	if err := u.Upgrade(); err != nil {
		return err
	}
	time.Sleep(100 * time.Millisecond) // Exit would be closed in this time
	if isClosed(u.Exit()) {
		return errors.New("Exit is closed while a connection is open")
	}
	if answer, err := ask(ln.Addr().String()); err != nil || answer != "child" {
		return fmt.Errorf("a new connection gets %q, %v; want an answer of the child", answer, err)
	}
	client.Close()
	c.Close()
	<-u.Exit()
	return nil
}

// servesAgain has a connection while the child serves and dies.
func servesAgain(u *tableflip.Upgrader) error {
	ln, err := u.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := u.Ready(); err != nil {
		return err
	}
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	defer client.Close()
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := u.Upgrade(); err != nil {
		return err
	}
	if pidIn("pid", os.Getpid()) == nil {
		return errors.New("the PID file names the parent while the child serves")
	}
	if err := os.WriteFile("die", nil, 0o600); err != nil {
		return err
	}
	return pidComes("pid", os.Getpid())
}

// diesLate ends after the upgrade.
func diesLate(u *tableflip.Upgrader) error {
	if _, err := u.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	if err := errors.Join(u.Ready(), appears("die")); err != nil {
		return err
	}
	os.Exit(1)
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func ask(address string) (string, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return string(b), err
}

// acceptsOne answers one connection.
func acceptsOne(u *tableflip.Upgrader) error {
	ln, err := u.Listener("tcp", "127.0.0.1:0")
	if ln == nil || err != nil {
		return fmt.Errorf("%v, %v", ln, err)
	}
	if err := u.Ready(); err != nil {
		return err
	}
	c, err := ln.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.WriteString(c, "child")
	return err
}

func closesBeforeUpgrade(u *tableflip.Upgrader) error {
	ln, err := u.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if err := u.Ready(); err != nil {
		return err
	}
	if err := ln.Close(); err != nil {
		return err
	}
	if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("Accept after Close: %v", err)
	}
	if err := u.Upgrade(); err != nil {
		return err
	}
	if answer, err := ask(ln.Addr().String()); err != nil || answer != "child" {
		return fmt.Errorf("a connection gets %q, %v; want an answer of the child", answer, err)
	}
	return nil
}

func listensLate(u *tableflip.Upgrader) error {
	if err := u.Ready(); err != nil {
		return err
	}
	if ln, err := u.Listener("tcp", "127.0.0.1:0"); ln != nil || err != nil {
		return fmt.Errorf("after Ready Listener returns %v, %v", ln, err)
	}
	if _, err := u.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	if _, err := u.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return err
	}
	return u.Upgrade()
}

func inheritsLate(u *tableflip.Upgrader) error {
	if ln, err := u.Listener("tcp", "127.0.0.1:0"); ln == nil || err != nil {
		return fmt.Errorf("%v, %v", ln, err)
	}
	if c, err := u.PacketConn("udp", "127.0.0.1:0"); c == nil || err != nil {
		return fmt.Errorf("%v, %v", c, err)
	}
	return u.Ready()
}
