package remqtt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// This file moves the retained messages of a server, as a client of the server.

// loginHandshake returns the CONNECT packet of a session of this package.
func (l *listener) loginHandshake(level byte) handshake {
	h := handshake{name: appendString(nil, "MQTT"), level: level, flags: flagClean, keepAlive: []byte{0, 0}, clientID: "cutover" + token()[:16]}
	if in := l.service.Login; in != (Login{}) {
		h.flags |= 0xc0
		h.rest = appendString(appendString(nil, in.Username), in.Password)
	}
	return h
}

// login opens a session for the retained messages. The caller unlocks its mu.
func (l *listener) login(level byte, limit time.Time) (*session, error) {
	s, err := l.openOwn(l.loginHandshake(level), limit)
	if err == nil && s.answered.code != 0 {
		err = fmt.Errorf("the server refuses CONNECT with code 0x%02x: set Login", s.answered.code)
	}
	return s, err
}

// openOwn opens a session of this package, without a client. The caller unlocks its mu.
func (l *listener) openOwn(h handshake, limit time.Time) (*session, error) {
	s := newSession(l, nil, frozen)
	s.mu.Lock()
	s.opening.level = h.level
	s.toServer(h.packet())
	s.mu.Unlock()
	offered := l.offer(s)
	s.mu.Lock()
	if !offered {
		return s, errLeft
	}
	return s, s.wait(limit, func() bool { return s.accepted })
}

// sendRetained sends the retained messages to the successor.
func (d *departure) sendRetained() error {
	if d.service.KeepsRetained {
		return nil
	}
	var all retained
	var err error
	for _, all.Level = range []byte{5, 4} {
		if all.Packets, err = d.collectRetained(all.Level); err == nil {
			return d.link.send(message{Retained: &all})
		}
	}
	d.log.Error("mqtt: retained messages do not move", "listener", d.name, "error", err)
	return nil
}

// collectRetained reads the retained messages of the server.
func (l *listener) collectRetained(level byte) ([]packet, error) {
	limit := time.Now().Add(patience)
	s, err := l.login(level, limit)
	defer s.mu.Unlock()
	defer s.depart()
	if err != nil {
		return nil, err
	}
	s.collects = true
	all := []subscription{{Filter: "#", Options: 2, Properties: []byte{0}}}
	p := subscribe(1, 4, all) // level 4 asks for retained messages
	if level == 5 {
		p = build(typeSubscribe<<4|2, []byte{0, 1, 0}, appendString(nil, "#"), []byte{2})
	}
	if err := s.ask(p, limit); err != nil {
		return nil, err
	}
	if len(s.granted) != 1 || s.granted[0] >= 0x80 {
		return nil, errors.New("the server does not let the Login subscribe to #")
	}
	if err := s.prepareProbe(limit); err != nil {
		return nil, err
	}
	return s.collected, nil
}

// depart ends a session of this package. The caller has mu.
func (s *session) depart() {
	s.phase = leaving
	s.goodbye()
}

// publishRetained publishes the retained messages of an earlier server. It runs before any
// client is there.
func (l *listener) publishRetained(all retained) {
	if len(all.Packets) == 0 {
		return
	}
	limit := time.Now().Add(patience)
	s, err := l.login(all.Level, limit)
	defer s.mu.Unlock()
	defer s.depart()
	for i, p := range all.Packets {
		if err != nil {
			break
		}
		if !p.whole() || p.kind() != typePublish {
			continue
		}
		p = append(packet(nil), p...)
		p[0] = p[0]&^8 | 1
		if id := uint16(i%1000) + 1; p.qos() > 0 {
			p = p.withID(id)
			s.published[id] = typePublish
		}
		s.toServer(p)
		if i%s.window() == 0 {
			err = s.settle(limit)
			clear(s.released)
		}
	}
	if err == nil {
		err = s.settle(limit)
	}
	if err != nil {
		l.log.Error("mqtt: retained messages have not moved", "listener", l.name, "error", err)
	}
}

// window returns how many messages the server takes without an acknowledgment.
func (s *session) window() int {
	n := 20
	if v := find(s.answered.props, propReceiveMaximum); v != nil {
		n = min(n, int(binary.BigEndian.Uint16(v)))
	}
	return max(1, n)
}
