package conformance_test

import (
	"strings"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// environmentScenarios are about the variables by which the manager tells a process
// what it has passed.
func environmentScenarios() []scenario {
	return []scenario{
		{name: "LISTEN_* names the process", play: func(s *scene) {
			s.install()
			s.listen("ListenStream=" + inRun(s))
			p := s.start()
			wantEnv(p, "LISTEN_PID="+p.ID(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+s.name+".socket",
				"LISTEN_PIDFDID="+since(s, listenPidfdVariable, p.Do("pidfd", p.ID()), ""),
				"SYSTEMD_EXEC_PID="+since(s, execPidVariable, p.ID(), ""))
			if len(p.Passed) != 1 || p.Passed[0].Name != s.name+".socket" {
				s.Errorf("package activation has %+v", p.Passed)
			}
		}},
		{name: "LISTEN_* is gone for children", play: func(s *scene) {
			s.install()
			s.listen("ListenStream=" + inRun(s))
			child := s.start().Spawn("child")
			wantEnv(child, "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "LISTEN_PIDFDID=")
			if len(child.Passed) != 0 || child.TakeError != "" {
				s.Errorf("a child has %+v (%s)", child.Passed, child.TakeError)
			}
		}},
		{name: "without descriptors there is no LISTEN_*", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=3")
			wantEnv(s.start(), "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "LISTEN_PIDFDID=")
		}},
		{name: "control processes are passed nothing", play: func(s *scene) {
			s.install("ExecReload=PROBE control")
			s.listen("ListenStream=" + inRun(s))
			p := s.start()
			outcome := s.begin(s.Reload)
			control := s.next()
			wantEnv(control, "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES=", "MAINPID="+p.ID(),
				"MAINPIDFDID="+since(s, mainPidfdVariable, p.Do("pidfd", p.ID()), ""),
				"SYSTEMD_EXEC_PID="+since(s, execPidVariable, control.ID(), ""))
			control.Exit(0)
			s.must(outcome())
		}},
		{name: "FileDescriptorName= names all of a .socket, in order", play: func(s *scene) {
			var addresses []string
			for _, suffix := range []string{"c", "a", "b"} {
				addresses = append(addresses, s.run+"/"+s.name+suffix)
			}
			s.install()
			s.listen("FileDescriptorName=web", "ListenStream="+addresses[0], "ListenStream="+addresses[1], "ListenStream="+addresses[2])
			p := s.start()
			if got := p.Do("listeners", "web"); got != strings.Join(addresses, " ") {
				s.Errorf("claimed %s, want %s", got, addresses)
			}
		}},
		{name: "a bad FileDescriptorName= is ignored", play: func(s *scene) {
			s.install()
			s.listen("ListenStream="+inRun(s), "FileDescriptorName=a:b")
			if names := s.start().Names(); names != s.name+".socket" {
				s.Errorf("passed was %s", names)
			}
		}},
		{name: "what .socket units pass comes before the store", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=3")
			s.listen("ListenStream="+inRun(s), "FileDescriptorName=web")
			s.start().Store("a", "b")
			if names := s.restart().Names(); names != "web b a" {
				s.Errorf("passed were %s", names)
			}
		}},
		{name: "PrivatePIDs=yes hides no descriptor and no watchdog", real: "PrivatePIDs=", play: func(s *scene) {
			s.install("PrivatePIDs=yes", "WatchdogSec=1min")
			s.listen("ListenStream="+inRun(s), "FileDescriptorName=web")
			p := s.start()
			// The stamp of 262 is that of another process, and sd_listen_fds(3) finds
			// nothing either.
			stamp, id := p.Env["LISTEN_PIDFDID"], p.Do("pidfd", p.ID())
			if len(p.Passed) != 1 && (stamp == "" || stamp == id) {
				s.Errorf("package activation has %+v (%s); LISTEN_PID=%s in process %d", p.Passed, p.TakeError, p.Env["LISTEN_PID"], p.PID)
			}
			if (p.PID == 1) != s.has(privatePIDs) {
				s.Errorf("the process is %d", p.PID)
			}
			if right := p.Env["LISTEN_PID"] == p.ID(); right != (!s.has(privatePIDs) || s.has(listenPidfdVariable)) {
				s.Errorf("LISTEN_PID=%s in process %d", p.Env["LISTEN_PID"], p.PID)
			}
			if got := p.Do("timeout"); got != "1m0s" {
				s.Errorf("package notify has a watchdog of %s", got)
			}
		}},
	}
}

// wantEnv fails unless the variables, NAME=value each, are so; an empty value is
// that of one that is not set.
func wantEnv(p *probe.Probe, want ...string) {
	p.T.Helper()
	for _, w := range want {
		name, value, _ := strings.Cut(w, "=")
		if got := p.Env[name]; got != value {
			p.T.Errorf("%s: %s=%s, want %s", p.Role, name, got, value)
		}
	}
}
