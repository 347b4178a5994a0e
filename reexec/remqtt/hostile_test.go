package remqtt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// dialed returns a connection of a client of MQTT 3.1.1 whose CONNECT was accepted.
func (n *line) dialed(id string) (net.Conn, *bufio.Reader) {
	n.Helper()
	c, err := net.Dial("tcp", n.address)
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { _ = c.Close() }) // may be closed
	_ = c.SetDeadline(time.Now().Add(patienceOfTests))
	h := handshake{name: appendString(nil, "MQTT"), level: 4, flags: flagClean, keepAlive: []byte{0, 60}, clientID: id}
	n.says(c, h.packet())
	r := bufio.NewReader(c)
	n.hears(r, packet{typeConnack << 4, 2, 0, 0})
	return c, r
}

func (n *line) says(c net.Conn, b []byte) {
	n.Helper()
	if _, err := c.Write(b); err != nil {
		n.Error(err)
	}
}

func (n *line) hears(r *bufio.Reader, want packet) {
	n.Helper()
	if p, err := readPacket(r); err != nil || !bytes.Equal(p, want) {
		n.Errorf("a client reads %x, %v, want %x", p, err, want)
	}
}

// publishPacket returns a PUBLISH packet of QoS 1.
func publishPacket(id uint16, text string) packet {
	return build(typePublish<<4|2, binary.BigEndian.AppendUint16(appendString(nil, "t"), id), []byte(text))
}

// TestPacketMayEndInTheNextProcess has a move within a packet, at each of its bytes.
func TestPacketMayEndInTheNextProcess(t *testing.T) {
	t.Parallel()
	n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
	c, r := n.dialed("slow")
	for i := range publishPacket(1, "text") {
		p := publishPacket(uint16(i+1), "text")
		n.says(c, p[:i])
		old := n.upgrade()
		if i%2 == 0 {
			<-old.ended
		}
		n.says(c, p[i:])
		n.hears(r, answer(typePuback, uint16(i+1)))
	}
}

// TestClientThatResetsWhileItMovesIsTheOnlyOneThatEnds has a client that resets its connection
// before its socket moves.
func TestClientThatResetsWhileItMovesIsTheOnlyOneThatEnds(t *testing.T) {
	t.Parallel()
	wills := make(chan string, 1)
	n := newLine(t, &Service{}, func() *broker {
		b := newBroker(t)
		b.wills = func(topic string) { wills <- topic }
		return b
	})
	mortal := (&client{id: "mortal", level: 4, will: "wills/mortal"}).run(n)
	other := (&client{id: "other", level: 5}).run(n)
	n.breaks = func(format string) {
		if format == linkFormat {
			_ = mortal.conn.(*net.TCPConn).SetLinger(0) // a failure shows below
			_ = mortal.conn.Close()
		}
	}
	<-n.upgrade().ended
	if got := <-wills; got != "wills/mortal" {
		t.Errorf("will %q", got)
	}
	other.must(other.publish("a", "b", 1, false))
	other.leave(true)
}

// TestMessageLongerThanTheBufferMoves if its rest comes soon.
func TestMessageLongerThanTheBufferMoves(t *testing.T) {
	t.Parallel()
	n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
	c, r := n.dialed("long")
	p := publishPacket(1, strings.Repeat("x", 2*maxWhole))
	n.says(c, p[:len(p)-1])
	for !n.passesInParts("long") {
		time.Sleep(time.Millisecond) // the server reads
	}
	n.breaks = func(format string) {
		if format == linkFormat {
			n.says(c, p[len(p)-1:])
		}
	}
	old := n.upgrade()
	n.hears(r, answer(typePuback, 1))
	<-old.ended
	n.says(c, publishPacket(2, "short"))
	n.hears(r, answer(typePuback, 2))
}

// TestStalledMessageEndsItsClientAlone: all clients wait for its rest, but not long.
func TestStalledMessageEndsItsClientAlone(t *testing.T) {
	t.Parallel()
	n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
	c, r := n.dialed("stalled")
	n.says(c, publishPacket(1, strings.Repeat("x", 2*maxWhole))[:maxWhole])
	other := (&client{id: "other", level: 5}).run(n)
	for !n.passesInParts("stalled") {
		time.Sleep(time.Millisecond) // the server reads
	}
	began := time.Now()
	n.upgrade()
	if p, err := readPacket(r); err == nil {
		t.Errorf("the client reads %x", p)
	}
	other.must(other.publish("a", "b", 1, false))
	if took := time.Since(began); took > patience {
		t.Errorf("the other clients wait %v", took)
	}
	other.leave(true)
}

// passesInParts reports whether the server gets a long message of a client.
func (n *line) passesInParts(id string) bool {
	for _, s := range n.now.l.list() {
		s.mu.Lock()
		if s.clientID() == id && s.through > 0 {
			s.mu.Unlock()
			return true
		}
		s.mu.Unlock()
	}
	return false
}

// TestClientWithoutMQTTReachesTheServerUnchanged, and its connection ends with the process.
func TestClientWithoutMQTTReachesTheServerUnchanged(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]string{
		"another protocol": "GET / HTTP/1.1\r\n\r\n", "a length without end": "\x10\xff\xff\xff\xff\xff", "half a CONNECT packet": "\x10\x20\x00\x04MQ",
	} {
		t.Run(name, func(t *testing.T) {
			n := newLine(t, &Service{}, func() *broker { return newBroker(t) })
			c, err := net.Dial("tcp", n.address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patienceOfTests))
			n.says(c, []byte(sent))
			other := (&client{id: "other", level: 4}).run(n)
			old := n.upgrade()
			if name != "half a CONNECT packet" {
				<-old.ended
			}
			other.must(other.publish("a", "b", 1, false))
			other.leave(true)
		})
	}
}

// TestServerThatIgnoresMessagesEndsTheirClientsAlone has a server that does not finish with some clients.
// The others move, as do the sessions of clients that are not connected.
func TestServerThatIgnoresMessagesEndsTheirClientsAlone(t *testing.T) {
	t.Parallel()
	ignored := make(chan struct{}, 80)
	n := newLine(t, &Service{}, func() *broker {
		b := newBroker(t)
		b.ignores = func(topic string) bool {
			if topic == "ignored" {
				ignored <- struct{}{}
			}
			return topic == "ignored"
		}
		return b
	})
	sleeper := n.newSleeper(4)
	n.leaves(sleeper)
	var bad, others []*client
	for i := range cap(ignored) {
		c := (&client{id: fmt.Sprint("bad", i), level: 5}).run(n)
		go func() { _ = c.publish("ignored", "text", 1, false) }() // ends with the connection
		bad = append(bad, c)
	}
	for i := range 20 {
		others = append(others, (&client{id: fmt.Sprint("other", i), level: 5}).run(n))
	}
	others[0].must(others[0].publish("t/1", "before", 1, false))
	for range bad {
		<-ignored
	}
	n.upgrade()
	for _, c := range bad {
		c.ends()
	}
	for _, c := range others {
		c.must(c.publish("t/1", c.id, 1, false))
		c.leave(true)
	}
	n.comesAgain(sleeper)
	sleeper.awaits("before", "other0", "other19")
	sleeper.leave(true)
}

// refusing returns brokers, each of which except for the first refuses the filter x.
func refusing(t *testing.T) func() *broker {
	brokers := 0
	return func() *broker {
		b := newBroker(t)
		if brokers++; brokers > 1 {
			b.refuses = func(filter string) bool { return filter == "x" }
		}
		return b
	}
}

// subscribesToMuch subscribes to so many filters that one packet does not hold them. x is in the first.
func (c *client) subscribesToMuch() {
	c.must(c.subscribe("x", 1))
	for i := range 100 {
		c.must(c.subscribe(fmt.Sprint("u/", i), 1))
	}
	c.must(c.subscribe("t/#", 1))
}

// TestClientWhoseSubscriptionTheSuccessorRefusesKeepsItsMessages comes again, and does not subscribe
// again.
func TestClientWhoseSubscriptionTheSuccessorRefusesKeepsItsMessages(t *testing.T) {
	t.Parallel()
	for _, level := range []byte{4, 5} {
		t.Run(fmt.Sprint(level), func(t *testing.T) {
			n := newLine(t, &Service{}, refusing(t))
			c := newSubscriber(t, "keeper", level, true)
			c.most = 100 // it acknowledges nothing
			c.must(c.connect(n.address))
			c.subscribesToMuch()
			n.publishes("before")
			c.awaits("before")
			n.upgrade()
			c.ends()
			n.comesAgain(c)
			n.publishes("after")
			c.awaits("before", "after")
			c.leave(true)
		})
	}
}

// TestSessionWithoutAClientWhoseSubscriptionTheSuccessorRefusesKeepsItsMessages also in the next upgrade.
func TestSessionWithoutAClientWhoseSubscriptionTheSuccessorRefusesKeepsItsMessages(t *testing.T) {
	t.Parallel()
	n := newLine(t, &Service{}, refusing(t))
	c := newSubscriber(t, "sleeper", 4, true)
	c.must(c.connect(n.address))
	c.subscribesToMuch()
	c.leave(true)
	n.publishes("before")
	<-n.upgrade().ended
	n.publishes("between")
	<-n.upgrade().ended
	n.comesAgain(c)
	c.awaits("before", "between")
	c.leave(true)
}
