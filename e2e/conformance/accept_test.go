package conformance_test

import (
	"net"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// acceptScenarios are about Accept=yes, which starts a process for each connection.
func acceptScenarios() []scenario {
	const lack = "Accept=yes"
	return []scenario{
		{name: "Accept=yes over TCP", real: lack, play: func(s *scene) {
			address := s.freeAddress("tcp", "127.0.0.1")
			s.accept("ListenStream="+address, "FileDescriptorName=it")
			client := s.dial("tcp", address)
			name := since(s, acceptName, "it", "connection")
			p := s.next()
			s.passed(p, probe.Passed{Name: name, Kind: "connection", Network: "tcp", Addr: address, Peer: client.LocalAddr().String()})
			host, port, err := net.SplitHostPort(client.LocalAddr().String())
			s.must(err)
			wantEnv(p, "LISTEN_PID="+p.ID(), "LISTEN_FDS=1", "LISTEN_FDNAMES="+name, "REMOTE_ADDR="+host, "REMOTE_PORT="+port)
			if got := p.Env["SO_COOKIE"]; (got != "") != s.has(cookieVariable) {
				s.Errorf("SO_COOKIE=%s", got)
			}
			s.converse(client, func() string { return p.Do("serve", name, "0") })
		}},
		{name: "Accept=yes over a unix socket", real: lack, play: func(s *scene) {
			s.accept("ListenStream=" + inRun(s))
			client := s.dial("unix", inRun(s))
			p := s.next()
			s.passed(p, probe.Passed{Name: "connection", Kind: "connection", Network: "unix", Addr: inRun(s), Peer: "@"})
			wantEnv(p, "REMOTE_ADDR=", "REMOTE_PORT=")
			s.converse(client, func() string { return p.Do("serve", "connection", "0") })
		}},
		{name: "Accept=yes for a unix client that has an address", real: lack, play: func(s *scene) {
			s.accept("ListenStream=" + inRun(s))
			client := s.outsider()
			client.Do("connect", "unix", inRun(s), "@client of "+s.name)
			p := s.next()
			s.passed(p, probe.Passed{Name: "connection", Kind: "connection", Network: "unix", Addr: inRun(s), Peer: "@client of " + s.name})
			wantEnv(p, "REMOTE_PORT=", "REMOTE_ADDR="+since(s, unixPeer, "@client of "+s.name, ""))
			s.got(p.Do("serve", "connection", "0"), "ping")
			client.Exit(0)
		}},
		{name: "Accept=yes over unix sequential packets", real: lack, play: func(s *scene) {
			s.accept("ListenSequentialPacket=" + inRun(s))
			client := s.dial("unixpacket", inRun(s))
			p := s.next()
			s.passed(p, probe.Passed{Name: "connection", Kind: "connection", Network: "unixpacket", Addr: inRun(s), Peer: "@"})
			s.converse(client, func() string { return p.Do("serve", "connection", "0") })
		}},
		{name: "Accept=yes starts one process for each", real: lack, play: func(s *scene) {
			s.accept("ListenStream=" + inRun(s))
			one, two := s.dial("unix", inRun(s)), s.dial("unix", inRun(s))
			first, second := s.next(), s.next()
			if first.PID == second.PID {
				s.Errorf("process %d has both connections", first.PID)
			}
			first.Do("serve", "connection", "0")
			second.Do("serve", "connection", "0")
			s.converse(one, func() string { return "ping" })
			s.converse(two, func() string { return "ping" })
		}},
	}
}

// outsider starts a probe that belongs to no unit.
func (s *scene) outsider() *probe.Probe {
	s.Helper()
	cmd := s.machine.Command(s.ctx, s.program, "outsider")
	cmd.Env = append(cmd.Env, probe.Address+"="+s.door.path, probe.Unit+"="+s.name)
	s.must(cmd.Start())
	s.Cleanup(func() {
		if err := cmd.Wait(); err != nil {
			s.Errorf("outsider: %v", err)
		}
	})
	return s.next()
}

// accept installs the scene's socket with Accept=yes, and the template that it
// starts.
func (s *scene) accept(lines ...string) {
	s.Helper()
	s.must(s.tryInstall(s.name+"@.service", append([]string{"[Service]", "ExecStart=PROBE main"}, s.env(nil)...)))
	s.listen(append([]string{"Accept=yes"}, lines...)...)
}
