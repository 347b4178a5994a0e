//go:build linux

// Package halt stops the processes of a test at a step, so that the test can look at them and
// kill one. Only tests use it: the test binary is the program, too.
package halt

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// variable is in the environment of a program: the step, and the socket at which the test waits.
const variable = "CUTOVER_HALT"

// patience bounds a wait: it ends a test that hangs.
const patience = 2 * time.Minute

// Main runs program in a process that Start has started, and run in the test itself.
func Main(program, run func() int) int {
	if os.Getenv(variable) == "" {
		// A successor outlives the process that started it. Then the test waits for it.
		const setChildSubreaper = 36 // of prctl(2)
		if _, _, err := syscall.RawSyscall(syscall.SYS_PRCTL, setChildSubreaper, 1, 0); err != 0 {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return run()
	}
	if os.Getenv("LISTEN_FDS") != "" {
		_ = os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid())) // the name is valid
	}
	go endWithTest() // ends with the process
	return program()
}

// endWithTest ends this process when the test has ended without its Cleanup functions.
func endWithTest() {
	_, socket, _ := strings.Cut(os.Getenv(variable), " ")
	if c, err := net.Dial("unix", socket+alive); err == nil {
		_, _ = c.Read(make([]byte, 1)) // nothing comes
	}
	os.Exit(1)
}

// alive ends the name of a socket that the test has until it ends. It accepts no connection.
const alive = "-alive"

// At stops this process if it is the first one that comes to the step of the test.
func At(step string) {
	want, socket, _ := strings.Cut(os.Getenv(variable), " ")
	if want != step {
		return
	}
	c, err := net.Dial("unix", socket)
	if err != nil {
		return // the test has the process that it waits for
	}
	defer c.Close()
	fmt.Fprintln(c, os.Getpid())
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return // as above
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = syscall.Tgkill(os.Getpid(), syscall.Gettid(), syscall.SIGSTOP) // the thread is there
}

// Site is a program that upgrades without a service manager.
type Site struct {
	testing.TB
	Address string // of its listener
	First   int    // the process that was started

	orders *net.UnixListener
	output string
}

// Start starts the program of Main. It gets a TCP listener with a name as systemd passes it.
func Start(t testing.TB, name, step string) *Site {
	t.Helper()
	s := &Site{TB: t, output: filepath.Join(t.TempDir(), "output")}
	dir, err := os.MkdirTemp("", "halt") // a socket has a short path
	s.must(err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // nothing is lost
	socket := filepath.Join(dir, "socket")
	s.orders, err = net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	s.must(err)
	s.orders.SetUnlinkOnClose(true)
	until, err := net.Listen("unix", socket+alive)
	s.must(err)
	t.Cleanup(func() { _ = until.Close() })    // nothing is lost
	t.Cleanup(func() { _ = s.orders.Close() }) // may be closed
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	s.must(err)
	defer ln.Close()
	s.Address = ln.Addr().String()
	file, err := ln.File()
	s.must(err)
	defer file.Close()
	output, err := os.Create(s.output)
	s.must(err)
	defer output.Close()
	program, err := os.Executable()
	s.must(err)
	cmd := exec.Command(program)
	cmd.Env = append(cmd.Environ(), variable+"="+step+" "+socket, "LISTEN_FDS=1", "LISTEN_FDNAMES="+name, "GORACE=atexit_sleep_ms=0")
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{file}, output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	s.must(cmd.Start())
	s.First = cmd.Process.Pid
	_ = cmd.Process.Release() // reap waits
	t.Cleanup(s.end)
	return s
}

func (s *Site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// end ends all processes.
func (s *Site) end() {
	_ = syscall.Kill(-s.First, syscall.SIGKILL) // there may be none
	for {
		if _, err := syscall.Wait4(-s.First, nil, 0, nil); err != nil && !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if s.Failed() {
		text, err := os.ReadFile(s.output)
		s.Logf("the program says (%v):\n%s", err, text)
	}
}

// Upgrade makes the process pid start its successor.
func (s *Site) Upgrade(pid int) {
	s.Helper()
	s.must(syscall.Kill(pid, syscall.SIGHUP))
}

// halted waits for the process that comes to the step, and returns it when it has stopped.
func (s *Site) halted() (pid int) {
	s.Helper()
	s.must(s.orders.SetDeadline(time.Now().Add(patience)))
	c, err := s.orders.Accept()
	s.must(err)
	_ = s.orders.Close() // later ones go on
	defer c.Close()
	_, err = fmt.Fscanln(c, &pid)
	s.must(err)
	_, err = c.Write([]byte{1})
	s.must(err)
	s.await(fmt.Sprintf("process %d stops", pid), func() bool { return strings.HasPrefix(s.stat(pid), "T") })
	return pid
}

// await waits for a condition that has no event.
func (s *Site) await(what string, ok func() bool) {
	s.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("timeout: %s", what)
		}
	}
}

// stat returns the state of a process and what follows in /proc/PID/stat, "" if it has ended.
func (s *Site) stat(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	const state, threads = 0, 17 // proc_pid_stat(5)
	if err != nil || len(fields) <= threads || fields[state] == "Z" && fields[threads] <= "1" {
		return "" // while a zombie has other threads, they have its sockets
	}
	return rest
}

// processes returns the living processes of the program.
func (s *Site) processes() (pids []int) {
	s.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	s.must(err)
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir)) // the pattern has digits first
		if fields := strings.Fields(s.stat(pid)); len(fields) > 2 && fields[2] == strconv.Itoa(s.First) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// KillOne upgrades the program and kills the process that comes to the step. owned has the ports of
// the clients whose connections the other process, the survivor, then has. A connection that
// both have is the successor's, because the predecessor may have heard so.
func (s *Site) KillOne() (survivor int, owned map[int]bool) {
	s.Helper()
	s.Upgrade(s.First)
	victim := s.halted()
	survivor = s.First
	if victim == s.First {
		survivor = s.AwaitOther(victim)
	}
	owned = s.owned(survivor)
	if survivor == s.First {
		for port := range s.owned(victim) {
			delete(owned, port)
		}
	}
	s.must(syscall.Kill(victim, syscall.SIGKILL))
	s.AwaitEnd(victim)
	return survivor, owned
}

// AwaitEnd waits for the end of the process pid.
func (s *Site) AwaitEnd(pid int) {
	s.Helper()
	s.await(fmt.Sprintf("process %d ends", pid), func() bool { return s.stat(pid) == "" })
}

// AwaitOther waits for a process of the program besides pid.
func (s *Site) AwaitOther(pid int) (other int) {
	s.Helper()
	s.await(fmt.Sprintf("a process besides %d", pid), func() bool {
		for _, p := range s.processes() {
			if p != pid {
				other = p
			}
		}
		return other != 0
	})
	return other
}

// owned returns the ports of the clients whose connections the process pid has.
func (s *Site) owned(pid int) map[int]bool {
	s.Helper()
	open := map[string]bool{}
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	s.must(err)
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil {
			open[to] = true
		}
	}
	table, err := os.ReadFile("/proc/net/tcp")
	s.must(err)
	_, port, err := net.SplitHostPort(s.Address)
	s.must(err)
	number, err := strconv.Atoi(port)
	s.must(err)
	owned := map[int]bool{}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) > 9 && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) && open["socket:["+f[9]+"]"] {
			_, client, _ := strings.Cut(f[2], ":")
			n, err := strconv.ParseInt(client, 16, 32)
			s.must(err)
			owned[int(n)] = true
		}
	}
	return owned
}

// Port returns the port of a client.
func Port(c net.Conn) int { return c.LocalAddr().(*net.TCPAddr).Port }
