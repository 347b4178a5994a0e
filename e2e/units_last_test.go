package e2e

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/units"
)

// failuresToLast are of units that work until something ends.
var failuresToLast = []mishap{
	{rule: "kill-mode", dropIn: "[Service]\nKillMode=mixed\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		long := s.background("/sleep?d=20s")
		s.must(s.machine.Reload(s.ctx, unitName))
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
		if a := <-long; a.err == nil {
			s.Errorf("the request in work is answered: %+v", a)
		}
	}},
	{rule: "kill-signal", dropIn: "[Service]\nKillSignal=SIGUSR1\nTimeoutStopSec=500ms\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.run("systemctl", "stop", "cutover-http.socket", unitName)
		if r := s.show("Result"); r != "timeout" {
			s.Errorf("Result=%s: it has stopped by itself", r)
		}
	}},
	{rule: "restart-kill-signal", dropIn: "[Service]\nRestartKillSignal=SIGQUIT\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		long := s.background("/sleep?d=20s")
		s.must(s.machine.Restart(s.ctx, unitName))
		if a := <-long; a.err == nil {
			s.Errorf("the request in work is answered: %+v", a)
		}
	}},
	{rule: "stop-timeout", dropIn: "[Service]\nTimeoutStopSec=500ms\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		long := s.background("/sleep?d=20s")
		s.must(s.machine.Restart(s.ctx, unitName))
		if a := <-long; a.err == nil {
			s.Errorf("the request in work is answered: %+v", a)
		}
	}},
	{rule: "restart", change: selfBound, dropIn: "[Service]\nRestart=no\n", happens: stays("failed")},
	{rule: "exec-start-ignored", change: selfBound, dropIn: "[Service]\nExecStart=\nExecStart=-" + binaryPath + "\n", happens: stays("inactive")},
	{rule: "fd-store", change: selfBound, dropIn: "[Service]\nFileDescriptorStoreMax=0\nRestartSec=1h\n", happens: stays("activating")},
	{rule: "fd-store-preserve", change: selfBound, since: 254, dropIn: "[Service]\nFileDescriptorStorePreserve=no\nRestart=no\n", happens: stays("failed")},
	{rule: "start-limit", dropIn: "[Unit]\nStartLimitIntervalSec=1h\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		for range 5 {
			if err := s.machine.Restart(s.ctx, unitName); err != nil {
				break
			}
		}
		_, _ = s.tryGet("/") // wakes the socket, which cannot start the service
		s.socketFails("service-start-limit-hit")
	}},
	// Without Restart= nothing starts the socket again.
	{rule: "socket-trigger-limit", lacks: "Restart=on-failure", dropIn: "[Socket]\nTriggerLimitBurst=3\nTriggerLimitIntervalSec=1min\n", happens: func(s *site) {
		s.deploy("/bin/false")
		s.must(s.machine.Start(s.ctx, "cutover-http.socket"))
		for s.showOf("cutover-http.socket", "Result") != "trigger-limit-hit" {
			s.must(s.ctx.Err())
			_, _ = s.tryGet("/") // each wakes the service
		}
	}},
	{rule: "socket-flush-pending", dropIn: "[Socket]\nFlushPending=yes\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGSTOP))
		conn, err := s.dial(s.ctx, "tcp", address) // waits in the queue
		s.must(err)
		defer conn.Close()
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
		s.must(conn.SetDeadline(time.Now().Add(patience)))
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n") // its failure shows below
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			s.Errorf("a client that waited is answered: %d", n)
		}
	}},
	{rule: "socket-remove-on-stop", change: func(d *units.Daemon) { d.Sockets[0].Listen = []string{"/run/cutover-test.sock"} },
		dropIn: "[Socket]\nRemoveOnStop=yes\n", happens: func(s *site) {
			s.must(s.machine.Start(s.ctx, unitName))
			s.run("systemctl", "stop", "--job-mode=ignore-dependencies", "cutover-http.socket")
			if _, there := s.run("test", "-S", "/run/cutover-test.sock"); there || s.show("ActiveState") != "active" {
				s.Errorf("path is there: %v, service %s", there, s.show("ActiveState"))
			}
		}},
	{rule: "exit-type", since: 250, dropIn: "[Service]\nExitType=cgroup\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		long := s.background("/sleep?d=6s")
		s.must(s.machine.Reload(s.ctx, unitName))
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
		s.pass(20) // by the predecessor
		if n, state := s.show("NRestarts"), s.show("ActiveState"); n != "0" || state != "active" {
			s.Errorf("during the drain NRestarts=%s, %s; want no restart", n, state)
		}
		<-long
	}},
	{rule: "proc-subset", change: selfBound, dropIn: "[Service]\nProcSubset=pid\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGSTOP))
		if n := s.queue(200); n > 150 {
			s.Errorf("%d clients are in the queue, want 128", n)
		}
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
	}},
}

// stays expects a service that is killed to stay in state, with its port closed.
func stays(state string) func(*site) {
	return func(s *site) {
		s.Helper()
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
		for s.ctx.Err() == nil && s.show("MainPID") != "0" {
			s.wait()
		}
		if got := s.show("ActiveState"); got != state {
			s.Errorf("ActiveState=%s, want %s", got, state)
		}
		s.refused()
	}
}

// socketFails expects the .socket unit to have given up.
func (s *site) socketFails(result string) {
	s.Helper()
	if r := s.showOf("cutover-http.socket", "Result"); r != result {
		s.Errorf("Result=%s of the socket, want %s", r, result)
	}
	s.refused()
}

// refused waits until the port is closed. A socket unit may stop a moment after its service.
func (s *site) refused() {
	s.Helper()
	for s.ctx.Err() == nil {
		conn, err := s.dial(s.ctx, "tcp", address)
		if err != nil {
			return
		}
		conn.Close()
		s.wait()
	}
	s.Error("the port is open")
}

// queue connects n times at once and returns how many were taken into the queue: a
// SYN that is not is sent again after a second.
func (s *site) queue(n int) (taken int) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, 500*time.Millisecond)
	defer cancel()
	conns := make(chan net.Conn)
	for range n {
		go func() { // ends with ctx; the loop below receives from each
			conn, err := s.dial(ctx, "tcp", address)
			if err != nil {
				conn = nil
			}
			conns <- conn
		}()
	}
	for range n {
		if conn := <-conns; conn != nil {
			defer conn.Close()
			taken++
		}
	}
	return taken
}
