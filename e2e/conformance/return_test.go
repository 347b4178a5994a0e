package conformance_test

import (
	"strconv"

	"github.com/cutover-go/cutover/e2e/conformance/internal/order"
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
				if o.want.Kind != "listener" && o.want.Kind != "datagram socket" {
					continue
				}
				client := s.dial(o.want.Network, o.want.Addr)
				serve := func() string { return next.do("serve", o.want.Name, "0").Text }
				if o.want.Network == "unixgram" {
					s.got(serve(), "ping")
				} else {
					s.converse(client, serve)
				}
			}
		}},
	}
}

// own is something that a probe has opened and stored.
type own struct {
	raw  order.Raw
	want order.Passed
}

// storeAll has the probe open one of each kind and store it under its key.
func (s *scene) storeAll(p *probe) []own {
	s.Helper()
	var all []own
	for _, o := range []struct{ key, kind, arg, is string }{
		{"tcp4", "tcp", "127.0.0.1:0", "listener"},
		{"tcp6", "tcp", "[::1]:0", "listener"},
		{"path", "unix", inRun(s) + ".s", "listener"},
		{"abstract", "unix", abstract(s), "listener"},
		{"packet", "unixpacket", inRun(s) + ".p", "listener"},
		{"udp4", "udp", "127.0.0.1:0", "datagram socket"},
		{"udp6", "udp", "[::1]:0", "datagram socket"},
		{"datagram", "unixgram", inRun(s) + ".d", "datagram socket"},
		{"memfd", "memfd", "state", "regular file"},
		{"device", "file", "/dev/null", "special file"},
	} {
		a := p.do("open", o.key, o.kind, o.arg)
		p.do("store", o.key, o.key)
		want := order.Passed{Name: o.key, Kind: o.is, Addr: a.Text}
		if a.Text != "" {
			want.Network = o.kind
		}
		all = append(all, own{a.Raw, want})
	}
	p.do("barrier")
	return all
}

// cameBack fails unless all that was stored was passed to p.
func (s *scene) cameBack(p *probe, stored []own) {
	s.Helper()
	if len(p.Raw) != len(stored) || len(p.Passed) != len(stored) {
		s.Errorf("%d came back, %d by package activation; want %d", len(p.Raw), len(p.Passed), len(stored))
	}
	raws := map[string]order.Raw{}
	for _, r := range p.Raw {
		raws[r.Name] = r
	}
	for _, o := range stored {
		if raws[o.raw.Name] != o.raw {
			s.Errorf("came back as %+v, was %+v", raws[o.raw.Name], o.raw)
		}
		s.passed(p, o.want)
	}
}
