package losses

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
)

// kinds are the values of -manager.
var kinds = []string{"auto", "systemd", "alone"}

// A stage runs servers, one after the other.
type stage interface {
	name() string
	// host is the address at which all ports are the servers'.
	host() string
	// put writes a file and returns the path by which a server reads it.
	put(name string, data []byte, mode os.FileMode) (string, error)
	// start starts s.
	start(ctx context.Context, s server) error
	// reload has s replaced; the process that serves is pid. It may return before.
	reload(ctx context.Context, s server, pid int) error
	// restart ends s and starts it again.
	restart(ctx context.Context, s server) error
	// look asks for the state of s as reload is asked for, and changes nothing.
	look(ctx context.Context, s server) error
	// stop ends s and all its processes.
	stop(ctx context.Context, s server) error
	// proc returns the directory in /proc of a process of the servers.
	proc(pid int) (string, error)
	// log returns what s has written.
	log(ctx context.Context, s server) string
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	Close() error
}

// A server is a program with its arguments and its addresses.
type server struct {
	name          string
	path          string // as the stage knows it
	args          []string
	plain, secure string
	unit          string // what its [Service] has to say beside the program
	reload        string // ExecReload=
}

func raise(ctx context.Context, kind, dir string) (stage, error) {
	missing := machine.Available()
	if kind == "alone" || kind == "auto" && missing != nil {
		// Successors outlive their parents, and become our children to be reaped.
		return &alone{dir: dir}, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	if missing != nil {
		return nil, missing
	}
	m, err := machine.Boot(ctx, machine.Options{})
	return booted{m}, err
}

// A booted is a real systemd in a separate machine.
type booted struct{ *machine.Machine }

func (b booted) name() string { return fmt.Sprintf("systemd %d", b.Version()) }

func (b booted) proc(pid int) (string, error) {
	host, err := b.HostPID(pid)
	if err != nil {
		return "", err
	}
	return recorder.Host(host)
}

func (booted) host() string { return "127.0.0.1" }

func (b booted) put(name string, data []byte, mode os.FileMode) (string, error) {
	path := "/usr/local/bin/" + name
	return path, b.WriteFile(path, data, mode)
}

func (b booted) start(ctx context.Context, s server) error {
	text := fmt.Sprintf("[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=notify\nExecStart=%s %s\nExecReload=%s\n"+
		"LimitNOFILE=16384\nTimeoutStopSec=45s\nFileDescriptorStoreMax=64\nRuntimeDirectory=%s\n%s",
		s.path, strings.Join(s.args, " "), s.reload, s.name, s.unit)
	return errors.Join(b.Install(ctx, s.name+".service", text), b.Start(ctx, s.name+".service"))
}

func (b booted) reload(ctx context.Context, s server, _ int) error {
	return b.Reload(ctx, s.name+".service")
}

func (b booted) restart(ctx context.Context, s server) error {
	return b.Restart(ctx, s.name+".service")
}

func (b booted) look(ctx context.Context, s server) error {
	_, err := b.Show(ctx, s.name+".service", "MainPID")
	return err
}

func (b booted) stop(ctx context.Context, s server) error { return b.Stop(ctx, s.name+".service") }

func (b booted) log(ctx context.Context, s server) string {
	text, _ := b.Log(ctx, s.name+".service") // it is there to be looked at
	return text
}

// An alone runs servers without a manager.
type alone struct {
	dir   string
	group int // of the processes of the server that runs, 0 for none
}

func (*alone) name() string { return "no manager, SIGHUP" }

func (*alone) proc(pid int) (string, error) { return recorder.Host(pid) }

// host returns a loopback address that no other program uses: it contains our pid.
func (*alone) host() string {
	pid := os.Getpid()
	return fmt.Sprintf("127.78.%d.%d", pid>>8&0xff, pid&0xff)
}

func (a *alone) put(name string, data []byte, mode os.FileMode) (string, error) {
	path := filepath.Join(a.dir, name)
	return path, os.WriteFile(path, data, mode)
}

func (a *alone) output(s server) string { return filepath.Join(a.dir, s.name+".log") }

func (a *alone) start(_ context.Context, s server) error {
	out, err := os.Create(a.output(s))
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(s.path, s.args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	if err == nil {
		a.group = cmd.Process.Pid
	}
	return err
}

func (a *alone) reload(_ context.Context, _ server, pid int) error {
	return syscall.Kill(pid, syscall.SIGHUP)
}

func (*alone) restart(context.Context, server) error {
	return errors.New("-beside needs -manager systemd: without a manager one program runs at a time")
}

// look does nothing, as a signal needs no command.
func (*alone) look(context.Context, server) error { return nil }

// stop reaps the processes that the kernel gives us when the one before has gone.
func (a *alone) stop(context.Context, server) error {
	if a.group == 0 {
		return nil
	}
	err := syscall.Kill(-a.group, syscall.SIGTERM)
	for {
		if _, werr := syscall.Wait4(-a.group, nil, 0, nil); werr != nil && werr != syscall.EINTR {
			a.group = 0
			return err // ECHILD: none is left
		}
	}
}

func (a *alone) log(_ context.Context, s server) string {
	text, _ := os.ReadFile(a.output(s)) // it is there to be looked at
	return string(text)
}

func (*alone) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, addr)
}

func (a *alone) Close() error { return a.stop(context.Background(), server{}) }
