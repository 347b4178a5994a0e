package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/notify"
)

// This file is a server without package reexec. Its reload does the least that a reload of a unit
// needs: the main process starts the program, waits until that serves, gives the manager its
// pid, waits for a barrier and answers. It survives no failure.

// The descriptors of the successor.
const (
	leastListener = 3
	leastServing  = 4 // a pipe
)

func least(ctx context.Context) error {
	n, err := notify.New()
	if err != nil {
		return err
	}
	if os.Getenv("SPEED_LEAST") != "" {
		ln, err := net.FileListener(os.NewFile(leastListener, "listener"))
		if err != nil {
			return err
		}
		return leastServe(ctx, n, ln, func() error { return os.NewFile(leastServing, "serving").Close() })
	}
	set, err := activation.Take()
	if err != nil {
		return err
	}
	all, err := set.Listeners("http")
	if err != nil || len(all) != 1 {
		return fmt.Errorf("want one listener of a .socket unit: %v, %w", all, err)
	}
	return leastServe(ctx, n, all[0], func() error { return n.Send(ctx, notify.Ready) })
}

// leastServe serves on ln, calls ready, and ends with the first reload.
func leastServe(ctx context.Context, n *notify.Notifier, ln net.Listener, ready func() error) error {
	control, err := net.Listen("unix", fmt.Sprintf("@speed-least/%d", os.Getpid()))
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(ln, http.HandlerFunc(answer)) }() // ends with the process
	if err := ready(); err != nil {
		return err
	}
	c, err := control.Accept()
	if err != nil {
		return err
	}
	pid, err := leastStart(ln)
	if err == nil {
		err = errors.Join(n.Send(ctx, notify.MainPID(pid)), n.Barrier(ctx))
	}
	return errors.Join(err, c.Close()) // the answer
}

// leastStart starts the successor, and returns when that serves.
func leastStart(ln net.Listener) (pid int, err error) {
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		return 0, err
	}
	serving, theirs, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), "SPEED_LEAST=1")
	cmd.ExtraFiles = []*os.File{socket, theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_PARENT} // a child of systemd
	if err := errors.Join(cmd.Start(), theirs.Close()); err != nil {
		return 0, err
	}
	if _, err := serving.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read from the successor: %w", err)
	}
	return cmd.Process.Pid, nil
}
