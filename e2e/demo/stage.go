package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/upgradetest"
)

const (
	serviceUnit = "cutover-http.service"
	socketUnit  = "cutover-http.socket"
	binaryPath  = "/usr/local/bin/cutover-http" // in the units
)

// kinds are the values of -manager.
var kinds = []string{"auto", "systemd", "embedded"}

// A manager has the common operations of systemd and of the embedded manager.
type manager interface {
	Install(ctx context.Context, name, text string) error
	Start(ctx context.Context, unit string) error
	Reload(ctx context.Context, unit string) error
	Show(ctx context.Context, unit, property string) (string, error)
	Log(ctx context.Context, unit string) (string, error)
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	Close() error
}

// A stage is a manager with the actions of an operator.
type stage interface {
	manager
	adapt(unit string) string    // adapts a unit's text to this stage
	deploy(program string) error // replaces the binary, as a package upgrade does
	kill(pid int) error          // with SIGKILL
	name() string
	proc(pid int) (string, error) // the directory of a process that answers
}

// raise returns a stage of the given kind. Its files are in dir.
func raise(ctx context.Context, out *screen, kind, dir string) (stage, error) {
	if kind == "embedded" {
		return raiseEmbedded(out, dir)
	}
	missing := machine.Available()
	switch {
	case missing == nil:
		return raiseSystemd(ctx, out)
	case kind == "systemd":
		return nil, missing
	}
	out.item("no systemd", strings.TrimPrefix(missing.Error(), "machine: "))
	return raiseEmbedded(out, dir)
}

// A booted is a real systemd in a separate machine.
type booted struct{ *machine.Machine }

func raiseSystemd(ctx context.Context, out *screen) (stage, error) {
	out.begin("manager", "a real systemd, as PID 1 in namespaces of its own ...")
	began := time.Now()
	m, err := machine.Boot(ctx, machine.Options{})
	if err != nil {
		return nil, err
	}
	out.done(fmt.Sprintf("%d, %s", m.Version(), short(time.Since(began))))
	return booted{m}, nil
}

func (b booted) name() string { return fmt.Sprintf("systemd %d", b.Version()) }

func (b booted) proc(pid int) (string, error) {
	host, err := b.HostPID(pid)
	if err != nil {
		return "", err
	}
	return recorder.Host(host)
}

func (b booted) adapt(unit string) string    { return unit }
func (b booted) deploy(program string) error { return b.CopyFile(program, binaryPath) }
func (b booted) kill(pid int) error          { return b.Signal(pid, syscall.SIGKILL) }

// An embedded manager runs in this process, in the host's network and with the
// privileges of the demo.
type embedded struct {
	*upgradetest.Manager
	binary string // a symbolic link, in place of binaryPath
}

func raiseEmbedded(out *screen, dir string) (stage, error) {
	m, err := upgradetest.NewManager(upgradetest.Options{})
	if err != nil {
		return nil, err
	}
	out.item("manager", "the embedded one, a part of this process, does what systemd would")
	return embedded{m, filepath.Join(dir, "cutover-http")}, nil
}

var listenPort = regexp.MustCompile(`(?m)^(ListenStream=.*):\d+$`)

// adapt has the kernel choose the port: on a host the usual one may be taken.
func (e embedded) adapt(unit string) string {
	return listenPort.ReplaceAllString(strings.ReplaceAll(unit, binaryPath, e.binary), "${1}:0")
}

// deploy turns the link, as one does where each release has a folder.
func (e embedded) deploy(program string) error {
	next := e.binary + ".next"
	return errors.Join(os.Symlink(program, next), os.Rename(next, e.binary))
}

func (embedded) name() string                 { return "embedded manager" }
func (embedded) proc(pid int) (string, error) { return recorder.Host(pid) }

func (e embedded) kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return errors.Join(p.Kill(), p.Release())
}

// exitCode returns the exit code of a systemctl that reports a failure.
func exitCode(err error) (code int, reported bool) {
	if e := (*machine.ExitError)(nil); errors.As(err, &e) {
		return e.Code, true
	}
	if e := (*upgradetest.ExitError)(nil); errors.As(err, &e) {
		return e.Code, true
	}
	return 0, false
}
