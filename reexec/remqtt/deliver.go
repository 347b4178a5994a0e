package remqtt

import "strings"

// This file follows the messages of the server to the client.

// deliver follows a message of the server.
func (s *session) deliver(p packet) packet {
	if strings.HasPrefix(p.topic(), probePrefix) {
		s.returned(p)
		return nil
	}
	s.arrivals++
	switch {
	case s.collects:
		if p.retained() {
			s.collected = append(s.collected, append(packet(nil), p...))
		}
		s.decline(p)
		return nil
	case s.phase == replaying && p.retained() && !s.retainsAsPublished():
		s.decline(p) // the client has had it
		return nil
	case p.qos() == 0:
		if s.client == nil {
			return nil
		}
		return p
	}
	if d := s.ofServer[p.id()]; d != nil {
		if p[0]&8 != 0 {
			return s.repeat(d, p)
		}
		delete(s.ofServer, p.id())
		if !d.taken {
			s.drop(d) // the server has given up the earlier message
		}
	}
	taken := s.phase == frozen
	if taken {
		s.decline(p)
	}
	if s.client == nil && p[0]&8 != 0 { // the client may have had it
		s.ofServer[p.id()] = s.add(p, taken, true)
		return nil
	}
	if s.client == nil || len(s.deferred) > 0 || len(s.deliveries) >= s.opening.receiveMaximum() {
		s.deferred = append(s.deferred, deferred{append(packet(nil), p...), taken})
		return nil
	}
	d := s.add(p, taken, s.persistent())
	s.ofServer[p.id()] = d
	return p.withID(d.id)
}

// repeat follows a duplicate of a delivery.
func (s *session) repeat(d *delivery, p packet) packet {
	if d.taken { // another session of the client has taken it
		s.decline(p)
		return nil
	}
	d.last = typePublish // the server has not seen PUBREC
	if s.phase == frozen {
		s.decline(p)
		d.taken, d.packet = true, append(packet(nil), p...)
	}
	if s.client == nil {
		return nil
	}
	return p.withID(d.id)
}

// decline acknowledges a message to the server, for the client.
func (s *session) decline(p packet) {
	switch p.qos() {
	case 1:
		s.toServer(answer(typePuback, p.id()))
	case 2:
		s.finishing[p.id()] = nil
		s.toServer(answer(typePubrec, p.id()))
	}
}

func (s *session) retainsAsPublished() bool {
	for _, sub := range s.subscriptions {
		if s.opening.level == 5 && sub.Options&optionRetainAsPublished != 0 {
			return true
		}
	}
	return false
}

// releases follows PUBREL of the server.
func (s *session) releases(p packet) packet {
	id := p.id()
	d, finishing := s.finishing[id]
	if !finishing {
		if d = s.ofServer[id]; d == nil {
			if s.phase != frozen {
				return p
			}
			// The client has had the message, before its connection ended.
			d = s.add(packet{typePublish<<4 | 4, 4, 0, 0, byte(id >> 8), byte(id)}, true, false)
		}
		known := d.taken && d.last == typePublish // another session of the client has taken it
		if !known {
			d.last = typePubrel
		}
		if s.phase == frozen {
			d.taken = true
			s.toServer(answer(typePubcomp, id))
		}
		if s.client == nil || known {
			return nil
		}
		return answer(typePubrel, d.id)
	}
	delete(s.finishing, id)
	s.toServer(answer(typePubcomp, id))
	if d != nil && d.last == typePubrec {
		d.last = typePubrel
		return answer(typePubrel, d.id)
	}
	return nil
}

// sendDeferred sends deferred messages as long as the client takes more.
func (s *session) sendDeferred() {
	for s.client != nil && len(s.deferred) > 0 && len(s.deliveries) < s.opening.receiveMaximum() {
		next := s.deferred[0]
		s.deferred = s.deferred[1:]
		d := s.add(next.packet, next.taken, s.persistent())
		if !next.taken {
			s.ofServer[d.ofServer] = d
		}
		s.replies = append(s.replies, next.packet.withID(d.id))
	}
}
