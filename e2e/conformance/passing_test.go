package conformance_test

import (
	"io"
	"net"
	"path"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// passingScenarios pass one descriptor of each kind from a unit to a process, where
// it must come out as a value of the right type that carries traffic.
func passingScenarios() []scenario {
	return []scenario{
		{name: "TCP over IPv4", play: socket("ListenStream", "tcp", tcp("127.0.0.1"), "listener")},
		{name: "TCP over IPv6", play: socket("ListenStream", "tcp", tcp("::1"), "listener")},
		{name: "TCP on every address", play: func(s *scene) {
			_, port, err := net.SplitHostPort(s.freeAddress("tcp", "::"))
			s.must(err)
			s.install()
			s.listen("FileDescriptorName=it", "ListenStream="+port)
			for _, host := range []string{"::1", "127.0.0.1"} {
				client := s.dial("tcp", net.JoinHostPort(host, port))
				p := s.activated(probe.Passed{Name: "it", Kind: "listener", Network: "tcp", Addr: "[::]:" + port})
				s.converse(client, func() string { return p.Do("serve", "it", "0") })
				p.Exit(0)
				s.ends()
			}
		}},
		{name: "unix stream", play: socket("ListenStream", "unix", inRun, "listener")},
		{name: "unix stream, abstract", play: socket("ListenStream", "unix", abstract, "listener")},
		{name: "unix sequential packet", play: socket("ListenSequentialPacket", "unixpacket", inRun, "listener")},
		{name: "unix sequential packet, abstract", play: socket("ListenSequentialPacket", "unixpacket", abstract, "listener")},
		{name: "UDP over IPv4", play: socket("ListenDatagram", "udp", udp("127.0.0.1"), "datagram socket")},
		{name: "UDP over IPv6", play: socket("ListenDatagram", "udp", udp("::1"), "datagram socket")},
		{name: "unix datagram", play: socket("ListenDatagram", "unixgram", inRun, "datagram socket")},
		{name: "unix datagram, abstract", play: socket("ListenDatagram", "unixgram", abstract, "datagram socket")},
		{name: "FIFO", play: func(s *scene) {
			path := inRun(s)
			s.used("ListenFIFO="+path, probe.Passed{Name: "it", Kind: "fifo"}, "ping", "write", path, "ping")
		}},
		{name: "special file", real: "ListenSpecial=", play: func(s *scene) {
			// A terminal repeats what is written to it, and is not ready all the time.
			s.used("Writable=yes\nListenSpecial=/dev/pts/ptmx", probe.Passed{Name: "it", Kind: "special file"}, "ping")
		}},
		{name: "file of the kernel", real: "ListenSpecial=", play: func(s *scene) {
			s.used("ListenSpecial=/proc/sys/kernel/ostype", probe.Passed{Name: "it", Kind: "regular file"}, "Linux\n")
		}},
		{name: "netlink", real: "ListenNetlink=", play: func(s *scene) {
			s.used("ListenNetlink=route 0", probe.Passed{Name: "it", Kind: "netlink socket", Network: "netlink"}, "RTM_NEWLINK")
		}},
		{name: "POSIX message queue", real: "ListenMessageQueue=", play: func(s *scene) {
			s.used("ListenMessageQueue=/"+s.name, probe.Passed{Name: "it", Kind: "message queue"}, "ping", "post", "/"+s.name, "ping")
		}},
		{name: "vsock", real: "vsock", play: vsock},
		{name: "OpenFile= of a file", real: "OpenFile=", play: func(s *scene) {
			s.install("OpenFile=/etc/hostname:it:read-only", "OpenFile=/etc/machine-id:id", "OpenFile=/nowhere::graceful")
			p := s.start()
			if names := p.Names(); names != since(s, openFile, "it id", "") {
				s.Errorf("passed were %q", names)
			}
			if s.has(openFile) {
				s.passed(p, probe.Passed{Name: "it", Kind: "regular file"})
				s.got(p.Do("serve", "it", "0"), "machine\n")
			}
		}},
		{name: "OpenFile= of a unix socket", real: "OpenFile=", play: func(s *scene) {
			path := inRun(s)
			s.install("OpenFile=" + path + ":it")
			s.listen("FileDescriptorName=web", "ListenStream="+path)
			p := s.start()
			if names := p.Names(); names != since(s, openFile, "web it", "web") {
				s.Errorf("passed were %q", names)
			}
			if s.has(openFile) {
				s.passed(p, probe.Passed{Name: "it", Kind: "connection", Network: "unix", Addr: "@", Peer: path})
			}
		}},
	}
}

// socket passes a socket by a setting of the .socket unit. Traffic starts the
// service, and is served by it.
func socket(setting, network string, address func(s *scene) string, kind string) func(s *scene) {
	return func(s *scene) {
		at := address(s)
		s.install()
		s.listen("FileDescriptorName=it", setting+"="+at)
		client := s.dial(network, at)
		p := s.activated(probe.Passed{Name: "it", Kind: kind, Network: network, Addr: at})
		serve := func() string { return p.Do("serve", "it", "0") }
		if network == "unixgram" { // the client has no address
			s.got(serve(), "ping")
			return
		}
		s.converse(client, serve)
	}
}

// dial connects and says ping.
func (s *scene) dial(network, address string) net.Conn {
	s.Helper()
	client, err := s.DialContext(s.ctx, network, address)
	s.must(err)
	s.Cleanup(func() { client.Close() })
	_, err = io.WriteString(client, "ping")
	s.must(err)
	return client
}

// reader is what converse needs of a client.
type reader interface {
	io.Reader
	SetReadDeadline(time.Time) error
}

// converse has the service serve a client that has said ping.
func (s *scene) converse(client reader, serve func() string) {
	s.Helper()
	s.got(serve(), "ping")
	deadline, _ := s.ctx.Deadline()
	s.must(client.SetReadDeadline(deadline))
	buf := make([]byte, 16)
	n, err := client.Read(buf)
	s.must(err)
	s.got(string(buf[:n]), "pong")
}

func (s *scene) got(text, want string) {
	s.Helper()
	if text != want {
		s.Errorf("%q came, want %q", text, want)
	}
}

// activated returns the probe that traffic has started, once it has checked what
// it was passed.
func (s *scene) activated(want probe.Passed) *probe.Probe {
	s.Helper()
	p := s.next()
	p.Send("READY=1")
	s.passed(p, want)
	return p
}

// passed fails unless package activation has this among what was passed.
func (s *scene) passed(p *probe.Probe, want probe.Passed) {
	s.Helper()
	for _, have := range p.Passed {
		if have.Name == want.Name {
			if want.Kind == "netlink socket" {
				have.Addr = "" // has a number that the kernel has chosen
			}
			if have != want {
				s.Errorf("package activation has %+v, want %+v", have, want)
			}
			return
		}
	}
	s.Errorf("package activation has nothing called %s in %+v", want.Name, p.Passed)
}

// used passes what a line of a .socket unit opens, has the probe be its own client
// by an order, and use it.
func (s *scene) used(line string, want probe.Passed, result string, client ...string) {
	s.Helper()
	s.install()
	s.listen("FileDescriptorName=it", line)
	p := s.start()
	s.passed(p, want)
	if len(client) > 0 {
		p.Do(client[0], client[1:]...)
	}
	s.got(p.Do("serve", "it", "0"), result)
}

func tcp(host string) func(s *scene) string {
	return func(s *scene) string { return s.freeAddress("tcp", host) }
}

func udp(host string) func(s *scene) string {
	return func(s *scene) string { return s.freeAddress("udp", host) }
}

// inRun returns a path for a socket of the scene.
func inRun(s *scene) string { return path.Join(s.run, s.name) }

func abstract(s *scene) string { return "@" + s.name }

// vsock passes a listener, and connects to it where the kernel has the loopback
// transport.
func vsock(s *scene) {
	port := vsockPort(s)
	s.install()
	if err := s.tryInstall(s.name+".socket", []string{"[Socket]", "FileDescriptorName=it", "ListenStream=vsock::" + port}); err != nil {
		s.Fatal(err)
	}
	if err := s.Start(s.ctx, s.name+".socket"); err != nil {
		s.Skipf("this machine has no vsock: %v", err)
	}
	s.units = append(s.units, s.name+".socket")
	p := s.start()
	it := probe.Passed{Name: "it", Kind: "listener", Network: "vsock", Addr: "4294967295:" + port}
	s.passed(p, it)
	s.carries(p, it)
}

// vsockPort returns a port that no other scene of this machine uses: vsock knows
// no network namespaces.
func vsockPort(s *scene) string {
	parts := strings.Split(s.name, "-")
	return "1" + parts[len(parts)-2] + parts[len(parts)-1]
}
