package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// strangerPath is where testdata/stranger lies in the machine.
const strangerPath = "/usr/local/bin/stranger"

// controls are the places where a service may have its control socket.
var controls = []struct {
	name, unit string
	address    func(s *site) string
	env        []string // by which a command finds it besides MAINPID
	why        string   // it is of no use to our commands in a stranger's hands
	answer     string   // to a stranger's own words, "" if nobody listens to them
}{
	{
		name:    "in the runtime directory",
		address: func(*site) string { return "/run/cutover-http/control.sock" },
		env:     []string{"RUNTIME_DIRECTORY=/run/cutover-http"},
		why:     "permission denied",
	},
	{
		name:    "in the runtime directory with UMask=0000",
		unit:    "UMask=0000",
		address: func(*site) string { return "/run/cutover-http/control.sock" },
		env:     []string{"RUNTIME_DIRECTORY=/run/cutover-http"},
		why:     "neither root nor ours",
		answer:  "permission denied: only root and the service's own user may ask",
	},
	{
		name:    "in the abstract namespace",
		unit:    "RuntimeDirectory=",
		address: (*site).abstractAddress,
		why:     "neither root nor ours",
		answer:  "permission denied: only root and the service's own user may ask",
	},
}

// TestStrangersAreTurnedAway has a user without privileges ask for an upgrade, and
// how it is going, by our commands and by words of its own.
func TestStrangersAreTurnedAway(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(s.machine.CopyFile(program(t, "./testdata/stranger", "v1"), strangerPath))
	for _, c := range controls {
		s.install(unitName+".d/control.conf", "[Service]\n"+c.unit+"\n")
		s.start(server(t, "v1"))
		main := s.mainPID()
		env := append([]string{fmt.Sprint("MAINPID=", main)}, c.env...)
		for _, verb := range []string{"reload", "status"} {
			s.turnedAway(c.name, s.stranger(env, binaryPath, verb), c.why)
		}
		for _, verb := range []string{"upgrade", "status"} {
			ask := s.stranger(nil, strangerPath, "ask", c.address(s), verb)
			if c.answer == "" {
				s.turnedAway(c.name, ask, c.why)
			} else if out, err := ask.Output(); err != nil || strings.TrimSpace(string(out)) != `{"error":"`+c.answer+`"}` {
				t.Errorf("%s: a stranger that asks for %s gets %q, %v", c.name, verb, out, err)
			}
		}
		if a := s.get("/"); a.pid != main || a.generation != 1 {
			t.Errorf("%s: %+v answers after all that, want process %d", c.name, a, main)
		}
		s.must(s.machine.Reload(s.ctx, unitName)) // those who may are heard
		if a := s.get("/"); a.generation != 2 {
			t.Errorf("%s: %+v answers after a reload", c.name, a)
		}
		s.must(s.machine.Stop(s.ctx, unitName))
	}
}

// TestSquattersAreFoundOut puts somebody else's socket where commands look for that
// of the main process. It promises what it is asked for.
func TestSquattersAreFoundOut(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(s.machine.CopyFile(program(t, "./testdata/stranger", "v1"), strangerPath))
	s.ownReload(server(t, "v1"))
	s.install(unitName+".d/open.conf", "[Service]\nRuntimeDirectoryMode=0777\n")
	s.start(server(t, "v1"))
	main := s.mainPID()
	s.squat(s.abstractAddress(), "/run/cutover-http/control.sock")
	found := fmt.Sprintf("the main process is %d", main)

	// The abstract name is looked for by a command that does not know of the directory.
	byHand := s.machine.Command(s.ctx, binaryPath, "reload")
	byHand.Env = append(byHand.Env, fmt.Sprint("MAINPID=", main))
	s.turnedAway("in the abstract namespace", byHand, found)
	if err := s.machine.Reload(s.ctx, unitName); err == nil {
		t.Error("systemctl reload takes the word of a squatter")
	}
	log, err := s.machine.Log(s.ctx, unitName)
	s.must(err)
	if !strings.Contains(log, found) {
		t.Errorf("the log does not say that %s", found)
	}
	if a := s.get("/"); a.pid != main {
		t.Errorf("%+v answers, want process %d", a, main)
	}
	// A main process puts its socket there, whatever lies in its place.
	s.deploy(server(t, "v2"))
	s.must(s.machine.Signal(main, syscall.SIGHUP))
	s.awaitMain("v2")
	s.deploy(server(t, "v1"))
	s.must(s.machine.Reload(s.ctx, unitName))
	s.awaitMain("v1")
}

// TestSquattersKeepNobodyFromServing has a stranger take the abstract names of all
// processes that there will be: a service without RuntimeDirectory= starts and
// upgrades by SIGHUP, and its commands find out.
func TestSquattersKeepNobodyFromServing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.must(s.machine.CopyFile(program(t, "./testdata/stranger", "v1"), strangerPath))
	s.install(unitName+".d/abstract.conf", "[Service]\nRuntimeDirectory=\n")
	namespace, names := s.command("readlink", "/proc/1/ns/pid"), []string{}
	for pid := range 500 {
		names = append(names, fmt.Sprintf("@cutover/%s/%d", namespace, pid))
	}
	s.squat(names...)
	s.start(server(t, "v1"))
	s.wantMain("v1", 1)
	if err := s.machine.Reload(s.ctx, unitName); err == nil {
		t.Error("systemctl reload takes the word of a squatter")
	}
	s.deploy(server(t, "v2"))
	s.must(s.machine.Signal(s.mainPID(), syscall.SIGHUP))
	s.awaitMain("v2")
	s.wantMain("v2", 2)
}

// stranger is a command of a user that nobody knows.
func (s *site) stranger(env []string, arg ...string) *exec.Cmd {
	cmd := s.machine.Command(s.ctx, "setpriv", append([]string{"--reuid=54321", "--regid=54321", "--clear-groups"}, arg...)...)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// squat has a stranger listen at addresses for as long as the machine is there.
func (s *site) squat(addresses ...string) {
	s.Helper()
	squatter := s.stranger(nil, append([]string{strangerPath, "squat"}, addresses...)...)
	out, err := squatter.StdoutPipe()
	s.must(err)
	s.must(squatter.Start())
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		s.Fatalf("squatter: %q, %v", line, err)
	}
	go squatter.Wait() // ends with the machine
}

// turnedAway checks that cmd fails, and says why among other things.
func (s *site) turnedAway(where string, cmd *exec.Cmd, why string) {
	s.Helper()
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !strings.Contains(string(out), why) {
		s.Errorf("%s: %q gives %q, %v, want %q and a failure", where, cmd.Args, out, err, why)
	}
}

// abstractAddress is the control address of the main process if its unit has no
// RuntimeDirectory=.
func (s *site) abstractAddress() string {
	s.Helper()
	return fmt.Sprintf("@cutover/%s/%d", s.command("readlink", "/proc/1/ns/pid"), s.mainPID())
}
