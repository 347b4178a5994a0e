package conformance_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"syscall"

	"github.com/cutover-go/cutover/e2e/internal/probe"
)

// returnScenarios store what a process has opened itself, and want the very same
// sockets back in the next one.
func returnScenarios() []scenario {
	return []scenario{
		{name: "sockets of all kinds come back as they were", play: func(s *scene) {
			s.install("FileDescriptorStoreMax=20", "[Unit]", "StartLimitIntervalSec=0")
			p := s.start()
			stored := s.storeAll(p)
			s.shows("NFileDescriptorStore=" + strconv.Itoa(len(stored)))
			s.cameBack(s.restart(), stored)
			s.must(s.DaemonReload(s.ctx))
			next := s.restart()
			s.cameBack(next, stored)
			for _, o := range stored {
				s.carries(next, o.want)
			}
		}},
	}
}

// own is something that a probe has opened and stored.
type own struct {
	raw  probe.Raw
	want probe.Passed
}

// storeAll has the probe open one of each kind and store it under its key.
func (s *scene) storeAll(p *probe.Probe) []own {
	s.Helper()
	var all []own
	for _, o := range []struct{ key, kind, arg, is, network string }{
		{"tcp4", "tcp", "127.0.0.1:0", "listener", "tcp"},
		{"tcp6", "tcp", "[::1]:0", "listener", "tcp"},
		{"path", "unix", inRun(s) + ".s", "listener", "unix"},
		{"abstract", "unix", abstract(s), "listener", "unix"},
		{"packet", "unixpacket", inRun(s) + ".p", "listener", "unixpacket"},
		{"packet abstract", "unixpacket", abstract(s) + ".p", "listener", "unixpacket"},
		{"vsock", "vsock", vsockPort(s), "listener", "vsock"},
		{"udp4", "udp", "127.0.0.1:0", "datagram socket", "udp"},
		{"udp6", "udp", "[::1]:0", "datagram socket", "udp"},
		{"datagram", "unixgram", inRun(s) + ".d", "datagram socket", "unixgram"},
		{"datagram abstract", "unixgram", abstract(s) + ".d", "datagram socket", "unixgram"},
		{"netlink", "netlink", "", "netlink socket", "netlink"},
		{"fifo", "fifo", inRun(s) + ".f", "fifo", ""},
		{"queue", "queue", "/" + s.name, "message queue", ""},
		{"memfd", "memfd", "state", "regular file", ""},
		{"device", "file", "/dev/null", "special file", ""},
	} {
		a := p.Begin("open", o.key, o.kind, o.arg).Wait()
		if o.kind == "vsock" && strings.Contains(a.Err, syscall.EAFNOSUPPORT.Error()) {
			continue
		}
		if a.Err != "" {
			s.Fatalf("open a %s: %s", o.kind, a.Err)
		}
		var opened probe.Opened
		s.must(json.Unmarshal([]byte(a.Text), &opened))
		p.Do("store", o.key, o.key)
		all = append(all, own{opened.Raw, probe.Passed{Name: o.key, Kind: o.is, Network: o.network, Addr: opened.Address}})
	}
	p.Do("barrier")
	return all
}

// carries fails unless what was passed to p carries what is put into it, or what
// was put into it before it was stored.
func (s *scene) carries(p *probe.Probe, passed probe.Passed) {
	s.Helper()
	serve := func() string { return p.Do("serve", passed.Name, "0") }
	switch passed.Network + passed.Kind {
	case "vsocklistener":
		if client := s.dialVsock(passed.Addr); client != nil {
			s.converse(client, serve)
		}
	case "special file": // swallows all
	case "regular file": // cameBack has read it
	case "fifo", "message queue":
		s.got(serve(), "ping")
	case "netlinknetlink socket":
		s.got(serve(), "RTM_NEWLINK")
	case "unixgramdatagram socket": // the client has no address
		s.dial("unixgram", passed.Addr)
		s.got(serve(), "ping")
	default:
		s.converse(s.dial(passed.Network, passed.Addr), serve)
	}
}

// cameBack fails unless all that was stored was passed to p.
func (s *scene) cameBack(p *probe.Probe, stored []own) {
	s.Helper()
	if len(p.Raw) != len(stored) || len(p.Passed) != len(stored) {
		s.Errorf("%d came back, %d by package activation; want %d", len(p.Raw), len(p.Passed), len(stored))
	}
	raws := map[string]probe.Raw{}
	for _, r := range p.Raw {
		raws[r.Name] = r
	}
	for _, o := range stored {
		have := raws[o.raw.Name]
		have.NonBlocking = o.raw.NonBlocking // as NonBlocking= of the unit says
		if have != o.raw {
			s.Errorf("came back as %+v, was %+v", have, o.raw)
		}
		s.passed(p, o.want)
	}
}
