//go:build linux

package rehttp3

import (
	"bytes"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// relay stands between one client and the server.
type relay struct {
	front, back *net.UDPConn
	client      atomic.Pointer[net.UDPAddr]
	forward     func(datagram []byte) // called for each datagram of the client, one by one
	mute        atomic.Bool           // datagrams of the server are lost
}

func (s *site) relay() *relay {
	s.Helper()
	front, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	s.must(err)
	s.Cleanup(func() { front.Close() })
	server, err := net.ResolveUDPAddr("udp", s.address)
	s.must(err)
	back, err := net.DialUDP("udp", nil, server)
	s.must(err)
	s.Cleanup(func() { back.Close() })
	r := &relay{front: front, back: back}
	r.forward = r.send
	return r
}

func (r *relay) send(datagram []byte) { _, _ = r.back.Write(datagram) } // a loss shows

// run relays until the test ends.
func (r *relay) run() {
	go func() { // ends when front is closed
		b := make([]byte, 2048)
		for {
			n, from, err := r.front.ReadFromUDP(b)
			if err != nil {
				return
			}
			r.client.Store(from)
			r.forward(b[:n])
		}
	}()
	go func() { // ends when back is closed
		b := make([]byte, 2048)
		for {
			n, err := r.back.Read(b)
			if err != nil {
				return
			}
			if !r.mute.Load() {
				_, _ = r.front.WriteToUDP(b[:n], r.client.Load()) // as in send
			}
		}
	}()
}

// initial reports whether a datagram begins with an Initial packet.
func initial(datagram []byte) bool { return datagram[0]&0xf0 == 0xc0 }

// through asks the server through the relay.
func (s *site) through(r *relay, path string) (answer, error) {
	s.Helper()
	client := newClient()
	defer client.Close()
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "https://"+r.front.LocalAddr().String()+path, nil)
	s.must(err)
	resp, err := client.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	return read(resp)
}

// One process reads the first datagram of a ClientHello, its successor reads the second.
func TestAHandshakeSurvivesAnUpgradeBetweenItsDatagrams(t *testing.T) {
	s := newSite(t)
	r := s.relay()
	count := 0
	r.forward = func(datagram []byte) {
		count++
		if count == 2 {
			if !initial(datagram) {
				t.Error("the ClientHello is one datagram: the test shows nothing")
			}
			s.upgrade()
		}
		r.send(datagram)
	}
	r.run()
	a, err := s.through(r, "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("generation %d has the connection", a.generation)
}

// The answer of the predecessor is lost, and the client sends its first packets again, to the
// successor.
func TestTwoProcessesAnswerOneHandshake(t *testing.T) {
	s := newSite(t)
	r := s.relay()
	count := 0
	r.mute.Store(true)
	r.forward = func(datagram []byte) {
		count++
		r.send(datagram)
		if count == 2 {
			s.upgrade()
		}
		if count == 4 { // as many again
			r.mute.Store(false)
		}
	}
	r.run()
	a, err := s.through(r, "/")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("generation %d has the connection", a.generation)
}

// The copy begins another connection with the successor.
func TestALateCopyOfTheFirstPacketsHarmsNoConnection(t *testing.T) {
	s := newSite(t)
	r := s.relay()
	first := make(chan []byte, 2)
	r.forward = func(datagram []byte) {
		select {
		case first <- bytes.Clone(datagram):
		default: // it has two
		}
		r.send(datagram)
	}
	r.run()
	client := newClient()
	defer client.Close()
	req, err := http.NewRequestWithContext(s.ctx, http.MethodGet, "https://"+r.front.LocalAddr().String()+"/sleep?d=2s", nil)
	s.must(err)
	resp, err := client.RoundTrip(req)
	s.must(err)
	s.upgrade()
	for range cap(first) {
		datagram := <-first
		if !initial(datagram) {
			t.Error("the ClientHello is one datagram: the test shows nothing")
		}
		r.send(datagram)
	}
	if a, err := read(resp); err != nil || a.generation != 1 {
		t.Errorf("%+v answers the request in work, %v; want generation 1", a, err)
	}
}

// The server stands still for longer than quic-go's default timeout. It reads the packets of
// the client before it gives the handshake up.
func TestAHandshakeOutlivesAServerThatStandsStill(t *testing.T) {
	const still = 6 * time.Second
	s := newSite(t)
	pid := s.ask().pid
	r := s.relay()
	count := 0
	r.forward = func(datagram []byte) {
		count++
		if count == 3 { // the server has the ClientHello, and has answered it
			s.must(syscall.Kill(pid, syscall.SIGSTOP))
			time.AfterFunc(still, func() { _ = syscall.Kill(pid, syscall.SIGCONT) }) // the answer below shows whether it lives
		}
		r.send(datagram)
	}
	r.run()
	if a, err := s.through(r, "/"); err != nil || a.pid != pid {
		t.Errorf("%+v answers, %v; want process %d", a, err, pid)
	}
}
