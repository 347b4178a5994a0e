// Command oneinit is an init for one program, as tini and docker-init are: it starts the
// program in its arguments, passes signals on to it, reaps, and exits when that one
// process exits.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// ownProc gives a PID namespace its own /proc, as every container has one.
func ownProc() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return err
	}
	return syscall.Mount("proc", "/proc", "proc", 0, "")
}

func main() {
	if os.Getpid() == 1 {
		if err := ownProc(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() { // ends with the process
		for s := range signals {
			_ = cmd.Process.Signal(s) // it may have ended
		}
	}()
	var status syscall.WaitStatus
	for {
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if pid == cmd.Process.Pid || err == syscall.ECHILD {
			os.Exit(status.ExitStatus())
		}
	}
}
