package remqtt

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A broker is an MQTT server with its sessions in memory. It reads ahead of its processing,
// and has a queue for each client, as servers have.
type broker struct {
	testing.TB
	refuses func(topic string) bool // SUBSCRIBE to this filter; nil: never
	ignores func(topic string) bool // a message gets no acknowledgment; nil: never
	wills   func(topic string)      // a will is published

	// renumbers says that each connection numbers its messages from 1, and that the messages that
	// waited for it are marked as duplicates, as mochi-mqtt does.
	renumbers bool

	mu       sync.Mutex
	sessions map[string]*brokerSession
	retained map[string]packet // PUBLISH packets of level 4, without an identifier
	exact    subscribers       // by a filter without wildcards
	wild     map[*brokerSession]bool
	working  sync.WaitGroup
}

func newBroker(t testing.TB) *broker {
	return &broker{TB: t, sessions: map[string]*brokerSession{}, retained: map[string]packet{}, wills: func(string) {}, exact: subscribers{}, wild: map[*brokerSession]bool{}}
}

type subscribers map[string]map[*brokerSession]bool

type brokerSession struct {
	id       string
	level    byte
	present  bool
	keeps    bool // without a connection
	conn     net.Conn
	filters  []subscription
	next     uint16
	inflight []packet // PUBLISH and PUBREL packets without an acknowledgment
	queued   []packet // QoS 1 and 2, above the quota
	quota    int
	received map[uint16]bool
	queue    []packet // to conn
	changed  *sync.Cond
	will     packet
}

// serve accepts until ln is closed.
func (b *broker) serve(ln net.Listener) error {
	for {
		c, err := ln.Accept()
		if err != nil {
			b.working.Wait()
			return err
		}
		b.working.Go(func() { b.handle(c) })
	}
}

func readPacket(r *bufio.Reader) (packet, error) {
	var p packet
	for n := 0; n <= 0; n = size(p) {
		c, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		p = append(p, c)
	}
	rest := make([]byte, size(p)-len(p))
	_, err := io.ReadFull(r, rest)
	return append(p, rest...), err
}

func (b *broker) handle(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	p, err := readPacket(r)
	if err != nil {
		return
	}
	h, ok := parseConnect(p)
	if !ok {
		return
	}
	s := b.open(h, c)
	ahead := make(chan packet, 4)
	go func() { // ends with c
		defer close(ahead)
		for {
			p, err := readPacket(r)
			if err != nil {
				return
			}
			ahead <- p
		}
	}()
	b.working.Go(func() { b.write(s, c) })
	peaceful := false
	for p := range ahead {
		if peaceful = p.kind() == typeDisconnect; peaceful {
			break
		}
		b.mu.Lock()
		if s.conn == c {
			b.process(s, p)
		}
		b.mu.Unlock()
	}
	_ = c.Close() // ends write, and the reader
	for range ahead {
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.conn != c {
		return
	}
	s.conn = nil
	s.changed.Broadcast()
	if s.will != nil && !peaceful {
		b.wills(s.will.topic())
		b.publish(s.will)
	}
	if !s.keeps {
		delete(b.sessions, s.id)
	}
}

func (b *broker) open(h handshake, c net.Conn) *brokerSession {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[h.clientID]
	if s != nil && s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
		s.changed.Broadcast()
	}
	if s == nil || h.clean() {
		s = &brokerSession{id: h.clientID, received: map[uint16]bool{}, changed: sync.NewCond(&b.mu)}
	} else {
		s.present = true
	}
	s.level, s.conn, s.keeps, s.quota, s.queue = h.level, c, expiryOf(h) > 0, h.receiveMaximum(), nil
	s.will = nil
	if h.flags&flagWill != 0 {
		rest := h.rest
		if h.level == 5 {
			_, rest, _ = takeProperties(rest)
		}
		topic, rest, _ := takeString(rest)
		text, _, _ := takeString(rest)
		s.will = build(typePublish<<4, appendString(nil, topic), text)
	}
	b.sessions[h.clientID] = s
	if b.renumbers {
		s.next, s.inflight, s.queued = 0, append(s.inflight, s.queued...), nil
	}
	connack := []byte{0, 0}
	if s.present {
		connack[0] = 1
	}
	if s.level == 5 {
		connack = append(connack, 6, propAliasMaximum, 0, 9, propReceiveMaximum, 0, 20)
	}
	s.send(build(typeConnack<<4, connack))
	for _, p := range s.inflight {
		if p.kind() == typePublish {
			p[0] |= 8
			s.quota--
		}
		s.send(p)
	}
	s.sendQueued()
	return s
}

// awaitsEnd waits until the client with this identifier has no connection.
func (b *broker) awaitsEnd(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := b.sessions[id]; s != nil && s.conn != nil; s = b.sessions[id] {
		s.changed.Wait()
	}
}

func (s *brokerSession) send(p packet) {
	s.queue = append(s.queue, p)
	s.changed.Broadcast()
}

// write writes the queue, and often several packets at once, or one in two parts.
func (b *broker) write(s *brokerSession, c net.Conn) {
	for {
		b.mu.Lock()
		for s.conn == c && len(s.queue) == 0 {
			s.changed.Wait()
		}
		if s.conn != c {
			b.mu.Unlock()
			return
		}
		out := bytes.Join([][]byte{s.queue[0]}, nil)
		s.queue = s.queue[1:]
		if len(s.queue) > 0 {
			out = append(out, s.queue[0]...)
			s.queue = s.queue[1:]
		}
		b.mu.Unlock()
		half := len(out) / 2
		if _, err := c.Write(out[:half]); err != nil {
			return
		}
		if _, err := c.Write(out[half:]); err != nil {
			return
		}
	}
}

// process handles a packet of a client. The caller has mu.
func (b *broker) process(s *brokerSession, p packet) {
	id := p.id()
	switch p.kind() {
	case typePublish:
		if b.ignores != nil && b.ignores(p.topic()) {
			return
		}
		switch p.qos() {
		case 1:
			s.send(answer(typePuback, id))
		case 2:
			s.send(answer(typePubrec, id))
			if s.received[id] {
				return
			}
			s.received[id] = true
		}
		b.publish(b.plain(s, p))
	case typePubrel:
		delete(s.received, id)
		s.send(answer(typePubcomp, id))
	case typePuback, typePubcomp:
		s.forget(id)
		s.quota++
		s.sendQueued()
	case typePubrec:
		s.forget(id)
		s.inflight = append(s.inflight, answer(typePubrel, id))
		s.send(answer(typePubrel, id))
	case typeSubscribe:
		b.subscribe(s, p)
	case typePingreq:
		s.send(packet{typePingresp << 4, 0})
	}
}

// plain returns a message of a client as a packet of level 4 without an identifier.
func (b *broker) plain(s *brokerSession, p packet) packet {
	topic, rest, _ := takeString(p.body())
	if p.qos() > 0 {
		rest = rest[2:]
	}
	if s.level == 5 {
		_, rest, _ = takeProperties(rest)
	}
	return build(p[0]&^8, appendString(nil, topic), rest)
}

func (s *brokerSession) forget(id uint16) {
	s.inflight = slices.DeleteFunc(s.inflight, func(p packet) bool { return p.id() == id })
}

func (b *broker) subscribe(s *brokerSession, p packet) {
	all, _ := parseFilters(p, s.level)
	body := binary.BigEndian.AppendUint16(nil, p.id())
	if s.level == 5 {
		body = append(body, 0)
	}
	for i := range all {
		code := all[i].Options & 3
		if b.refuses != nil && b.refuses(all[i].Filter) {
			code = 0x80
		} else {
			s.filters = append(s.filters, all[i])
			b.index(s, all[i].Filter)
		}
		body = append(body, code)
	}
	s.send(build(typeSuback<<4, body))
	for _, f := range all {
		if f.Options&optionRetainNever != 0 {
			continue
		}
		for topic, r := range b.retained {
			if matches(f.Filter, topic) {
				s.deliver(r, f.Options&3)
			}
		}
	}
}

// publish gives a message to all subscribers.
func (b *broker) publish(p packet) {
	if p.retained() {
		b.retained[p.topic()] = p
		p = append(packet{p[0] &^ 1}, p[1:]...)
	}
	topic := p.topic()
	all := maps.Clone(b.wild)
	maps.Copy(all, b.exact[topic])
	for s := range all {
		if b.sessions[s.id] != s {
			continue // it has ended
		}
		for _, f := range s.filters {
			if matches(f.Filter, topic) {
				s.deliver(p, f.Options&3)
				break
			}
		}
	}
}

// index notes that s has subscribed to filter, because there may be thousands of sessions.
func (b *broker) index(s *brokerSession, filter string) {
	if strings.ContainsAny(filter, "+#") {
		b.wild[s] = true
		return
	}
	if b.exact[filter] == nil {
		b.exact[filter] = map[*brokerSession]bool{}
	}
	b.exact[filter][s] = true
}

func (s *brokerSession) deliver(p packet, most byte) {
	qos := min(p.qos(), most)
	topic, text, _ := takeString(p.body())
	body := appendString(nil, topic)
	if qos > 0 {
		s.next++
		for s.next == 0 || slices.ContainsFunc(s.inflight, func(p packet) bool { return p.id() == s.next }) {
			s.next++
		}
		body = binary.BigEndian.AppendUint16(body, s.next)
	}
	if s.level == 5 {
		body = append(body, 0)
	}
	out := build(p[0]&^6|qos<<1, body, text)
	if qos == 0 {
		if s.conn != nil {
			s.send(out)
		}
		return
	}
	s.queued = append(s.queued, out)
	s.sendQueued()
}

func (s *brokerSession) sendQueued() {
	for s.conn != nil && len(s.queued) > 0 && s.quota > 0 {
		p := s.queued[0]
		s.queued = s.queued[1:]
		s.quota--
		s.inflight = append(s.inflight, p)
		s.send(append(packet(nil), p...))
	}
}

// matches reports whether a topic matches a filter.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	if strings.HasPrefix(topic, "$") && strings.ContainsAny(f[0], "+#") {
		return false
	}
	for i := range f {
		if f[i] == "#" {
			return true
		}
		if i >= len(t) || f[i] != "+" && f[i] != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}
