//go:build linux

package activation_test

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/needs"
)

// socketActivate starts a program by systemd's own test tool, which needs neither
// root nor a running manager, and returns what it writes once it listens.
func socketActivate(t *testing.T, program string, listeners int, options ...string) io.Reader {
	t.Helper()
	tool := needs.Program(t, "systemd-socket-activate")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	options = append(options, "-E", envProgram+"="+program, "-E", "GORACE=atexit_sleep_ms=0", self, "-test.run=^$")
	cmd := exec.CommandContext(t.Context(), tool, options...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	setDeadline(t, stdout.(*os.File))
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // with --accept it serves for ever
		_, _ = io.Copy(io.Discard, stderr)
		_ = cmd.Wait()
	})
	awaitListening(t, stderr, listeners)
	return stdout
}

func awaitListening(t *testing.T, stderr io.Reader, listeners int) {
	t.Helper()
	lines := bufio.NewScanner(stderr)
	for listeners > 0 && lines.Scan() {
		if strings.Contains(lines.Text(), "Listening on ") {
			listeners--
		}
	}
	if listeners > 0 {
		t.Fatal("systemd-socket-activate ended before it listened")
	}
}

func TestSystemdActivatesAListener(t *testing.T) {
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	stdout := socketActivate(t, "converse", 2, "--listen="+first, "--listen="+second, "--fdname=it:other")
	dial(t, view{Network: "unix", Addr: first})
	var c conversation
	if err := json.NewDecoder(stdout).Decode(&c); err != nil {
		t.Fatal(err)
	}
	c.View.Nonblock = false // not ours to say
	if want := (view{Name: "it", Kind: "listener", Network: "unix", Addr: first, Cloexec: true}); c.View != want || c.Got != "ping" {
		t.Errorf("the program sees %+v and got %q, want %+v and ping", c.View, c.Got, want)
	}
}

func TestSystemdActivatesASequentialPacketListener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stdout := socketActivate(t, "converse", 1, "--seqpacket", "--listen="+path, "--fdname=it")
	dial(t, view{Network: "unixpacket", Addr: path})
	var c conversation
	if err := json.NewDecoder(stdout).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.View.Network != "unixpacket" || c.View.Kind != "listener" || c.Got != "ping" {
		t.Errorf("the program sees %+v and got %q", c.View, c.Got)
	}
}

func TestSystemdActivatesAConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	stdout := socketActivate(t, "converse", 1, "--accept", "--listen="+path, "--fdname=it")
	dial(t, view{Network: "unix", Addr: path})
	var c conversation
	if err := json.NewDecoder(stdout).Decode(&c); err != nil {
		t.Fatal(err)
	}
	if c.View.Network != "unix" || c.View.Kind != "connection" || c.Got != "ping" {
		t.Errorf("the program sees %+v and got %q", c.View, c.Got)
	}
}
