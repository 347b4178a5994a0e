package remqtt

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// patienceOfTests bounds a wait: it ends a test that hangs.
const patienceOfTests = 60 * time.Second

// A client is an MQTT client.
type client struct {
	testing.TB
	id    string
	level byte
	most  int  // Receive Maximum, 0: none
	keeps bool // the session outlives the connection
	will  string
	tls   *tls.Config
	dial  func() (net.Conn, error) // nil: by TCP
	got   func(topic, text string, p packet)

	mu       sync.Mutex
	conn     net.Conn
	present  bool
	next     uint16
	waits    map[uint16]chan packet
	held     []packet // acknowledgments of a slow client
	received map[uint16]bool
	ended    chan struct{} // closed when the connection has ended
	why      error
	last     packet // DISCONNECT
}

// connect opens a connection, and waits for CONNACK.
func (c *client) connect(address string) error {
	dial := c.dial
	if dial == nil {
		dial = func() (net.Conn, error) { return net.Dial("tcp", address) }
	}
	conn, err := dial()
	if err != nil {
		return err
	}
	if c.tls != nil {
		conn = tls.Client(conn, c.tls)
	}
	_ = conn.SetDeadline(time.Now().Add(4 * patienceOfTests)) // ends a test that hangs
	h := handshake{name: appendString(nil, "MQTT"), level: c.level, keepAlive: []byte{0, 60}, clientID: c.id}
	if c.level == 5 {
		if c.most > 0 {
			h.props = append(h.props, property{propReceiveMaximum, 0, byte(c.most)})
		}
		if c.keeps {
			h.props = append(h.props, property{propExpiry, 0, 0, 255, 0})
		}
		h.props = append(h.props, property{propAliasMaximum, 0, 10})
	}
	if !c.keeps {
		h.flags |= flagClean
	}
	if c.will != "" {
		h.flags |= flagWill
		if c.level == 5 {
			h.rest = append(h.rest, 0)
		}
		h.rest = appendString(appendString(h.rest, c.will), "gone")
	}
	r := bufio.NewReader(conn)
	c.mu.Lock()
	c.conn, c.waits, c.ended, c.held = conn, map[uint16]chan packet{}, make(chan struct{}), nil
	if c.received == nil {
		c.received = map[uint16]bool{}
	}
	c.mu.Unlock()
	c.put(h.packet())
	p, err := readPacket(r)
	if err != nil {
		_ = conn.Close()
		return err
	}
	w, ok := parseConnack(p, c.level)
	if !ok || w.code != 0 || find(w.props, propAliasMaximum) != nil {
		c.Errorf("%s: CONNACK is %x", c.id, p)
	}
	c.present = w.present
	go c.read(r, conn) // ends with conn
	return nil
}

// put writes a packet in pieces.
func (c *client) put(p packet) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := []byte(p); len(b) > 0; {
		n := len(b)
		if rand.IntN(3) == 0 {
			n = 1 + rand.IntN(n)
		}
		if _, err := c.conn.Write(b[:n]); err != nil {
			return // read sees it, too
		}
		b = b[n:]
	}
}

func (c *client) read(r *bufio.Reader, conn net.Conn) {
	defer conn.Close()
	for {
		p, err := readPacket(r)
		if err != nil {
			c.why = err
			close(c.ended)
			return
		}
		switch p.kind() {
		case typePublish:
			c.message(p)
		case typePubrel:
			delete(c.received, p.id())
			c.put(answer(typePubcomp, p.id()))
		case typePubrec:
			c.put(answer(typePubrel, p.id()))
		case typePuback, typePubcomp, typeSuback:
			c.mu.Lock()
			w := c.waits[p.id()]
			delete(c.waits, p.id())
			c.mu.Unlock()
			if w == nil {
				c.Errorf("%s: an answer to nothing: %x", c.id, p)
				continue
			}
			w <- p
		case typeDisconnect:
			c.last = p
		}
	}
}

func (c *client) message(p packet) {
	topic, rest, _ := takeString(p.body())
	if p.qos() > 0 {
		rest = rest[2:]
	}
	if c.level == 5 {
		_, rest, _ = takeProperties(rest)
	}
	if p.qos() < 2 || !c.received[p.id()] {
		c.got(string(topic), string(rest), p)
	}
	switch p.qos() {
	case 1:
		c.acknowledge(answer(typePuback, p.id()))
	case 2:
		c.received[p.id()] = true
		c.acknowledge(answer(typePubrec, p.id()))
	}
}

// acknowledge answers a message. A slow client answers when it may get no more.
func (c *client) acknowledge(p packet) {
	c.held = append(c.held, p)
	if len(c.held) < c.most {
		return
	}
	for _, p := range c.held {
		c.put(p)
	}
	c.held = nil
}

var errEnded = errors.New("the connection has ended")

// request sends a packet that make returns for an identifier, and waits for its answer.
func (c *client) request(make2 func(id uint16) packet) (packet, error) {
	c.mu.Lock()
	c.next++
	if c.next == 0 {
		c.next++
	}
	id, w, ended := c.next, make(chan packet, 1), c.ended
	c.waits[id] = w
	c.mu.Unlock()
	c.put(make2(id))
	select {
	case p := <-w:
		return p, nil
	case <-ended:
		return nil, fmt.Errorf("%s: %w: %v", c.id, errEnded, c.why)
	}
}

func (c *client) subscribe(filter string, qos byte) error {
	p, err := c.request(func(id uint16) packet {
		body := binary.BigEndian.AppendUint16(nil, id)
		if c.level == 5 {
			body = append(body, 0)
		}
		return build(typeSubscribe<<4|2, appendString(body, filter), []byte{qos})
	})
	if err == nil && codes(p, c.level)[0] != qos {
		err = fmt.Errorf("SUBACK is %x", p)
	}
	return err
}

// publish sends a message and waits for its acknowledgment.
func (c *client) publish(topic, text string, qos byte, retain bool) error {
	first := byte(typePublish<<4) | qos<<1
	if retain {
		first |= 1
	}
	message := func(id uint16) packet {
		body := appendString(nil, topic)
		if qos > 0 {
			body = binary.BigEndian.AppendUint16(body, id)
		}
		if c.level == 5 {
			body = append(body, 0)
		}
		return build(first, body, []byte(text))
	}
	if qos == 0 {
		c.put(message(0))
		return nil
	}
	_, err := c.request(message)
	return err
}

// leave ends the connection, in peace or not.
func (c *client) leave(peaceful bool) {
	if peaceful {
		c.put(packet{typeDisconnect << 4, 0})
	}
	_ = c.conn.Close() // may be closed
	<-c.ended
}

// A subscriber is a client that counts its messages by text.
type subscriber struct {
	*client
	mu      sync.Mutex
	changed *sync.Cond
	texts   map[string]int
}

func newSubscriber(t testing.TB, id string, level byte, keeps bool) *subscriber {
	s := &subscriber{texts: map[string]int{}}
	s.changed = sync.NewCond(&s.mu)
	s.client = &client{TB: t, id: id, level: level, keeps: keeps, got: func(_, text string, _ packet) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.texts[text]++
		s.changed.Broadcast()
	}}
	return s
}

// awaits waits for messages.
func (s *subscriber) awaits(texts ...string) {
	s.Helper()
	late := false
	timer := time.AfterFunc(patienceOfTests, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		late = true
		s.changed.Broadcast()
	})
	defer timer.Stop()
	missing := func() []string {
		return slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return s.texts[text] > 0 })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(missing()) > 0 && !late && !isClosed(s.ended) {
		s.changed.Wait()
	}
	if all := missing(); len(all) > 0 {
		s.Errorf("%s: messages %q have not come (the connection has ended: %v)", s.id, all, isClosed(s.ended))
	}
}
