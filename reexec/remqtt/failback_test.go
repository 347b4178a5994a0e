package remqtt

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// failedMove has a successor that dies, when it has heard the last of the given messages. The
// predecessor calls noticed when it knows, and then serves on, unless noticed makes it. Nil does
// nothing.
func (n *line) failedMove(last func(message) bool, noticed func()) {
	n.Helper()
	old, mortal, known := n.now, &fakeGeneration{line: n, arrivals: make(chan net.Conn, 100), closed: make(chan struct{})}, make(chan struct{})
	n.breaks = func(format string) {
		if format != linkFormat || old.CanMove("mqtt", format) {
			return
		}
		defer close(known)
		if noticed != nil {
			noticed()
		}
	}
	n.mu.Lock()
	old.next = mortal
	n.mu.Unlock()
	close(old.draining)
	link := newLink((<-mortal.arrivals).(*reexec.Moved).Conn)
	if err := link.send(message{Hello: true}); err != nil {
		n.Fatal(err)
	}
	for m, err := (message{}), error(nil); !last(m); {
		if m, err = link.receive(); err != nil {
			n.Fatal(err)
		}
	}
	n.mu.Lock()
	old.dead = true
	n.mu.Unlock()
	_ = link.Close() // as the death does
	<-known
	for len(mortal.arrivals) > 0 {
		_ = (<-mortal.arrivals).Close() // as above
	}
	n.mu.Lock()
	waits := old.next == mortal
	n.mu.Unlock()
	if waits {
		old.resume()
	}
}

func isFirst(message) bool { return true } // after its greeting
func isEnd(m message) bool { return m.End }

// publishes has a client that publishes one message to t/1.
func (n *line) publishes(text string) {
	n.Helper()
	c := (&client{id: "publisher", level: 5}).run(n)
	c.must(c.publish("t/1", text, 1, false))
	c.leave(true)
}

// leaves ends the connection of c, and waits until the server knows it.
func (n *line) leaves(c *subscriber) {
	c.leave(true)
	n.now.b.awaitsEnd(c.id)
}

// newSleeper returns a client that is connected and has subscribed to t/#.
func (n *line) newSleeper(level byte) *subscriber {
	n.Helper()
	c := newSubscriber(n, "sleeper", level, true)
	c.must(c.connect(n.address))
	c.must(c.subscribe("t/#", 1))
	return c
}

// comesAgain connects a client whose session the server has.
func (n *line) comesAgain(c *subscriber) {
	n.Helper()
	c.mu.Lock()
	clear(c.texts)
	c.mu.Unlock()
	c.must(c.connect(n.address))
	if !c.present {
		n.Errorf("%s: the server does not know the session", c.id)
	}
}

// TestClientThatComesWhenTheSuccessorDiesGetsItsMessages has a client that is not connected while
// its messages move. It comes between the death of the successor and the return of its session.
func TestClientThatComesWhenTheSuccessorDiesGetsItsMessages(t *testing.T) {
	n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
	c := n.newSleeper(4)
	c.leave(true)
	n.publishes("before")
	n.failedMove(isEnd, func() { n.comesAgain(c) })
	c.awaits("before")
	n.publishes("after")
	c.awaits("after")
	c.leave(true)
}

// TestSessionsGoToTheNextSuccessorWhenOneDies has the next upgrade begin before the listener knows that
// the successor has died.
func TestSessionsGoToTheNextSuccessorWhenOneDies(t *testing.T) {
	for name, last := range map[string]func(message) bool{"first": isFirst, "end": isEnd} {
		t.Run(name, func(t *testing.T) {
			n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
			c := n.newSleeper(4)
			c.leave(true)
			n.publishes("before")
			old := n.now
			n.failedMove(last, func() {
				old.resume()
				n.upgrade()
			})
			<-old.ended
			n.comesAgain(c)
			c.awaits("before")
			c.leave(true)
		})
	}
}

// TestClientsStayWhenTheSuccessorDiesBeforeTheMove has the link not move.
func TestClientsStayWhenTheSuccessorDiesBeforeTheMove(t *testing.T) {
	n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
	c := (&client{id: "client", level: 5}).run(n)
	old, asked := n.now, make(chan struct{}, 2)
	n.breaks = func(string) {
		n.mu.Lock()
		defer n.mu.Unlock()
		old.dead = true
		asked <- struct{}{}
	}
	n.mu.Lock()
	old.next = &fakeGeneration{line: n, closed: make(chan struct{})}
	n.mu.Unlock()
	close(old.draining)
	<-asked
	<-asked // whether the successor lives
	old.resume()
	c.must(c.publish("t/1", "text", 1, false))
	c.leave(true)
}

// TestNewMessageIsNoDuplicateOfOneThatWasTaken has a server that uses the identifier of a message again
// that a failed move has taken. The successor dies before or after it has heard of that message, and the
// new one comes before or after the session that has taken the first one ends.
func TestNewMessageIsNoDuplicateOfOneThatWasTaken(t *testing.T) {
	cases := map[string]struct {
		last func(message) bool
		soon bool
	}{"before": {last: isFirst}, "after": {last: isEnd}, "soon": {last: isEnd, soon: true}}
	for name, at := range cases {
		t.Run(name, func(t *testing.T) {
			n := newLine(t, &Service{}, func() *broker {
				b := newBroker(t)
				b.renumbers = true
				return b
			})
			c := n.newSleeper(4)
			c.most = 100 // it acknowledges nothing
			n.publishes("first")
			c.awaits("first")
			n.leaves(c)
			second := func() {
				n.publishes("second")
				n.comesAgain(c)
			}
			if at.soon {
				n.failedMove(at.last, second)
			} else {
				n.failedMove(at.last, nil)
				n.now.b.awaitsEnd(c.id) // the session that has taken the first message
				second()
			}
			c.awaits("first", "second")
			c.leave(true)
		})
	}
}

// TestSessionThatTheServerHasDroppedDoesNotComeBack has a server that drops a session earlier than
// this package knows.
func TestSessionThatTheServerHasDroppedDoesNotComeBack(t *testing.T) {
	for _, level := range []byte{4, 5} {
		t.Run(fmt.Sprint(level), func(t *testing.T) {
			n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
			c := n.newSleeper(level)
			n.leaves(c)
			n.now.b.mu.Lock()
			delete(n.now.b.sessions, c.id)
			n.now.b.mu.Unlock()
			n.failedMove(isEnd, nil)
			n.now.b.awaitsEnd(c.id)
			c.must(c.connect(n.address))
			if c.present {
				t.Error("the client is told that the server has its session, which has no subscriptions")
			}
			c.leave(true)
		})
	}
}

// A toldConn tells when a Write begins.
type toldConn struct {
	net.Conn
	armed  atomic.Bool
	writes chan struct{}
}

func (c *toldConn) Write(b []byte) (int, error) {
	if c.armed.CompareAndSwap(true, false) {
		close(c.writes)
	}
	return c.Conn.Write(b)
}

// TestSlowReaderUnderTLSStaysConnectedWhenTheSuccessorDies has a server that waits in Write during the
// move.
func TestSlowReaderUnderTLSStaysConnectedWhenTheSuccessorDies(t *testing.T) {
	server, config := configs()
	n := newLine(t, &Service{TLSConfig: server}, func() *broker { return newBroker(t) })
	slow := newSubscriber(t, "slow", 4, false)
	theirs, ours := net.Pipe() // a Write waits for the reader
	told := &toldConn{Conn: ours, writes: make(chan struct{})}
	slow.tls, slow.dial = config, func() (net.Conn, error) {
		n.now.arrivals <- told
		return theirs, nil
	}
	waits, reads, got := make(chan struct{}, 3), make(chan struct{}), slow.got
	slow.got = func(topic, text string, p packet) {
		waits <- struct{}{}
		<-reads
		got(topic, text, p)
	}
	slow.must(slow.connect(n.address))
	slow.must(slow.subscribe("t/#", 1))
	publisher := (&client{id: "publisher", level: 5, tls: config}).run(n)
	publisher.must(publisher.publish("t/1", "first", 1, false))
	<-waits
	told.armed.Store(true)
	publisher.must(publisher.publish("t/1", "second", 1, false))
	<-told.writes
	n.failedMove(isEnd, nil)
	publisher.must(publisher.publish("t/1", "third", 1, false))
	close(reads)
	slow.awaits("first", "second", "third")
	slow.leave(true)
	publisher.leave(true)
}

// TestHandshakeOfTLSGoesOnWhenTheSuccessorDies has a client that says nothing until the move has failed.
func TestHandshakeOfTLSGoesOnWhenTheSuccessorDies(t *testing.T) {
	server, config := configs()
	n := newLine(t, &Service{TLSConfig: server}, func() *broker { return newBroker(t) })
	conn, err := net.Dial("tcp", n.address)
	if err != nil {
		t.Fatal(err)
	}
	for !n.readsAClient() {
		time.Sleep(time.Millisecond) // the server reads
	}
	n.failedMove(isEnd, nil)
	c := (&client{id: "late", level: 5, tls: config, dial: func() (net.Conn, error) { return conn, nil }}).run(n)
	c.must(c.publish("t/1", "text", 1, false))
	c.leave(true)
}

// readsAClient reports whether the server waits for bytes of a client.
func (n *line) readsAClient() bool {
	for _, s := range n.now.l.list() {
		s.mu.Lock()
		reads := s.reading
		s.mu.Unlock()
		if reads {
			return true
		}
	}
	return false
}
