package remqtt

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func (c *client) run(l *line) *client {
	c.TB = l.TB
	if c.got == nil {
		c.got = func(string, string, packet) {}
	}
	if err := c.connect(l.address); err != nil {
		l.Fatal(err)
	}
	return c
}

func TestRetainedMessagesMoveAndAreNotSentAgain(t *testing.T) {
	n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
	texts := make(chan string, 10)
	hears := func(_, text string, p packet) { texts <- text }
	old := []*client{{id: "old4", level: 4, got: hears}, {id: "old5", level: 5, got: hears}}
	for _, c := range old {
		c.run(n)
		c.must(c.publish("r/"+c.id, c.id, 2, true))
		c.must(c.subscribe("r/#", 1))
	}
	for _, want := range []string{"old4", "old4", "old5", "old5"} {
		_ = want
		if got := <-texts; got != "old4" && got != "old5" {
			t.Errorf("text %q", got)
		}
		if len(texts) == 0 {
			break
		}
	}
	old[0].must(old[0].publish("r/fence", "fence", 1, false))
	for range 2 {
		for <-texts != "fence" {
		}
	}
	n.upgrade()
	late := (&client{id: "late", level: 5, got: hears}).run(n)
	late.must(late.subscribe("r/#", 1))
	all := []string{<-texts, <-texts}
	slices.Sort(all)
	if !slices.Equal(all, []string{"old4", "old5"}) {
		t.Errorf("a new client gets %q", all)
	}
	late.must(late.publish("r/fence", "end", 1, false))
	for range 3 {
		if got := <-texts; got != "end" {
			t.Errorf("a message comes again: %q", got)
		}
	}
	for _, c := range append(old, late) {
		c.leave(true)
	}
}

func TestWillOfAClientThatVanishesComesAfterAnUpgrade(t *testing.T) {
	wills := make(chan string, 1)
	n := newLine(t, &Service{}, func() *broker {
		b := newBroker(t)
		b.wills = func(topic string) { wills <- topic }
		return b
	})
	c := (&client{id: "mortal", level: 5, will: "wills/mortal"}).run(n)
	<-n.upgrade().ended
	if len(wills) > 0 {
		t.Error("the old server publishes the will")
	}
	c.leave(false)
	if got := <-wills; got != "wills/mortal" {
		t.Errorf("will %q", got)
	}
}

// ends waits until the connection of c ends, and returns the last DISCONNECT packet.
func (c *client) ends() packet {
	c.Helper()
	select {
	case <-c.ended:
	case <-time.After(patienceOfTests):
		c.Errorf("%s: the connection does not end", c.id)
	}
	return c.last
}

func TestServerWithoutProbesSendsItsClientsAway(t *testing.T) {
	n := newLine(t, &Service{}, func() *broker {
		b := newBroker(t)
		b.refuses = func(filter string) bool { return strings.HasPrefix(filter, probePrefix) }
		b.wills = func(topic string) { t.Errorf("the will %s is published", topic) }
		return b
	})
	four := (&client{id: "four", level: 4, will: "w"}).run(n)
	five := (&client{id: "five", level: 5, will: "w"}).run(n)
	n.upgrade()
	if p := four.ends(); p != nil {
		t.Errorf("MQTT 3.1.1 gets %x", p)
	}
	if p := five.ends(); len(p) != 4 || p[2] != reasonUseAnother {
		t.Errorf("MQTT 5 gets %x", p)
	}
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	if !strings.Contains(strings.Join(n.log.all, "\n"), errProbe.Error()) {
		t.Errorf("the log does not say why: %q", n.log.all)
	}
}

func TestStopTellsClientsAfterTheirMessages(t *testing.T) {
	n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
	c := (&client{id: "five", level: 5}).run(n)
	c.must(c.publish("a", "b", 1, false))
	n.stop()
	if p := c.ends(); len(p) != 4 || p[2] != reasonShuttingDown && p[2] != reasonUseAnother {
		t.Errorf("the client gets %x", p)
	}
	if c.why != io.EOF {
		t.Errorf("the connection ends with %v", c.why)
	}
}

// configs returns the configurations of a server and of a client under TLS.
func configs() (server, client *tls.Config) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return &tls.Config{Certificates: srv.TLS.Certificates}, &tls.Config{RootCAs: pool, ServerName: "example.com"}
}

func TestClientUnderTLSIsToldToComeAgain(t *testing.T) {
	server, config := configs()
	n := newLine(t, &Service{TLSConfig: server}, func() *broker { return newBroker(t) })
	c := (&client{id: "five", level: 5, tls: config}).run(n)
	n.upgrade()
	if p := c.ends(); len(p) != 4 || p[2] != reasonUseAnother {
		t.Errorf("the client gets %x", p)
	}
}

func TestRefusedSocketIsTheOnlyOneThatEnds(t *testing.T) {
	n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
	var refused atomic.Bool
	n.refuse = func() bool { return refused.CompareAndSwap(false, true) } // sessions move at the same time
	a, b := (&client{id: "a", level: 5}).run(n), (&client{id: "b", level: 5}).run(n)
	<-n.upgrade().ended
	var ended, other *client
	select { // one of them notices, soon
	case <-a.ended:
		ended, other = a, b
	case <-b.ended:
		ended, other = b, a
	}
	if p := ended.ends(); len(p) != 4 || p[2] != reasonUseAnother {
		t.Errorf("the client gets %x", p)
	}
	other.must(other.publish("a", "b", 2, false))
	other.leave(true)
}

// FuzzPackets parses packets that are not valid.
func FuzzPackets(f *testing.F) {
	h := handshake{name: appendString(nil, "MQTT"), level: 5, keepAlive: []byte{0, 1}, clientID: "a", props: []property{{propUser, 0, 1, 'a', 0, 1, 'b'}}}
	f.Add([]byte(h.packet()))
	f.Add([]byte(subscribe(1, 5, []subscription{{Filter: "a", Properties: []byte{0}}})))
	f.Add([]byte{0x32, 4, 0, 0, 0, 1})
	f.Add([]byte{0x20, 6, 0, 0, 3, 0x22, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if !packet(b).whole() {
			return
		}
		p := packet(b)
		_, _, _ = p.id(), p.topic(), p.refuses()
		if q := p.withID(7); len(q) != len(p) {
			t.Errorf("another length: %x, %x", p, q)
		}
		if h, ok := parseConnect(p); ok {
			if again, ok := parseConnect(h.packet()); !ok || again.clientID != h.clientID {
				t.Errorf("%x becomes %x", p, h.packet())
			}
			_, _ = h.withoutClient("a", 1)
			_ = h.receiveMaximum()
		}
		for _, level := range []byte{4, 5} {
			if w, ok := parseConnack(p, level); ok {
				_ = w.forClient(p)
			}
			if all, ok := parseFilters(p, level); ok && len(all) > 0 {
				_ = subscribe(1, level, all)
			}
			_ = codes(p, level)
		}
	})
}

// TestClientsAreCutAtTheDrainDeadline has a successor that hangs when it has taken the link, or the
// link by which the predecessor asks whether it lives.
func TestClientsAreCutAtTheDrainDeadline(t *testing.T) {
	for _, more := range []int{0, 1} {
		n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
		c := (&client{id: "a", level: 4}).run(n)
		old := n.now
		hung := &fakeGeneration{line: n, arrivals: make(chan net.Conn, more), closed: make(chan struct{})}
		n.mu.Lock()
		old.next = hung
		n.mu.Unlock()
		close(old.draining)
		link := <-hung.arrivals
		close(old.late)
		<-old.ended
		if p := c.ends(); p != nil {
			t.Errorf("the client gets %x", p)
		}
		if want := []string{c.conn.LocalAddr().String()}; !slices.Equal(old.cut, want) {
			t.Errorf("cut work is %q, want %q", old.cut, want)
		}
		close(hung.closed) // ends the second move
		_ = link.Close()   // nothing was said on it
	}
}
