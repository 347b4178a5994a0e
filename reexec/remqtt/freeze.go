package remqtt

import (
	"errors"
	"fmt"
	"time"
)

// This file stops a session so that another server can go on with it.

var (
	past       = time.Unix(1, 0) // a deadline that is over
	errLeft    = errors.New("the session has ended")
	errDropped = fmt.Errorf("%w: the server has dropped it", errLeft)
	errLate    = errors.New("the server does not finish in time")
	errProbe   = errors.New("the server does not let the client subscribe to topics that begin with " + probePrefix + ", or publish to them: allow both")
)

// wait waits until done, or until limit or the end of the session.
func (s *session) wait(limit time.Time, done func() bool) (err error) {
	late := s.until(limit, func() bool {
		switch {
		case done():
		case s.closed || s.failed != nil || s.gone:
			err = errLeft
		case s.reason() != "":
			err = errors.New(s.reason())
		default:
			return false
		}
		return true
	})
	return errors.Join(err, late)
}

// until waits until done, or until limit. The caller has mu.
func (s *session) until(limit time.Time, done func() bool) error {
	timer := time.AfterFunc(time.Until(limit), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer timer.Stop()
	for !done() {
		if !time.Now().Before(limit) {
			return errLate
		}
		s.changed.Wait()
	}
	return nil
}

// maxRest limits the time in which the rest of a message comes that is passed in parts. All other
// clients wait meanwhile.
const maxRest = 2 * time.Second

// stop ends the exchange of packets. It waits until no goroutine of the server uses the
// connection of the client. A session that can never move keeps its connection, so a Read or Write
// that has begun goes on: a TLS connection does not survive a deadline in its handshake or in a Write.
func (s *session) stop(limit time.Time) error {
	s.mu.Lock()
	if s.phase != running {
		s.mu.Unlock()
		return errLeft
	}
	s.phase = frozen
	s.changed.Broadcast()
	if s.stays != "" {
		defer s.mu.Unlock()
		return s.wait(limit, func() bool { return false }) // says why, and does not wait
	}
	if s.client != nil {
		_ = s.client.SetWriteDeadline(past) // fails on a closed connection only
		if s.through > 0 {
			_ = s.client.SetReadDeadline(time.Now().Add(maxRest)) // as above
		} else {
			_ = s.client.SetReadDeadline(past)
		}
	}
	s.mu.Unlock()
	s.awaitWrite()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wait(limit, func() bool { return s.parked && len(s.ready) == 0 && !s.reading })
}

// awaitWrite waits for the end of a Write that has begun.
func (s *session) awaitWrite() {
	s.wmu.Lock()
	defer s.wmu.Unlock()
}

// freeze makes the server finish with the session: it answers the packets before, and all
// messages that it has for the client come out. This package takes them, and acknowledges
// them to the server.
func (s *session) freeze(limit time.Time) error {
	if err := s.stop(limit); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.raw:
		return errors.New("it does not speak MQTT, or TLS is in the server")
	case s.opening.level == 0:
		return nil // the client has said nothing
	case s.stays != "":
		return errors.New(s.stays)
	}
	if err := s.wait(limit, func() bool { return s.accepted }); err != nil {
		return err
	}
	return s.finish(limit)
}

// finish is freeze for a session that exchanges no more packets.
func (s *session) finish(limit time.Time) error {
	s.takeMessages()
	if err := s.settle(limit); err != nil {
		return err
	}
	return s.prepareProbe(limit)
}

// prepareProbe subscribes to the topic of the probe, and uses it once.
func (s *session) prepareProbe(limit time.Time) error {
	s.probe = probePrefix + token()
	sub := []subscription{{Filter: s.probe, Properties: []byte{0}}}
	if err := s.ask(subscribe(1, s.opening.level, sub), limit); err != nil {
		return err
	}
	if len(s.granted) != 1 || s.granted[0] >= 0x80 {
		return errProbe
	}
	return s.flush(limit)
}

// settled reports whether the server has answered all that it was sent.
func (s *session) settled() bool {
	return s.parked && len(s.ready) == 0 && len(s.published) == 0 && len(s.asked) == 0 && len(s.finishing) == 0 && s.pings == 0
}

func (s *session) settle(limit time.Time) error { return s.wait(limit, s.settled) }

// takeMessages takes over the messages that the client has not acknowledged, and releases
// messages of the client that the server has acknowledged.
func (s *session) takeMessages() {
	for _, d := range s.inOrder() {
		switch {
		case d.taken || s.client == nil: // for a client that is not connected, the server sends it again
			continue
		case d.last == typePubrec:
			s.finishing[d.ofServer] = d
		case d.last == typePubrel:
			s.toServer(answer(typePubcomp, d.ofServer))
		case d.qos == 2:
			s.finishing[d.ofServer] = nil
			s.toServer(answer(typePubrec, d.ofServer))
		default:
			s.toServer(answer(typePuback, d.ofServer))
		}
		d.taken = true
	}
	for i, d := range s.deferred {
		if !d.taken {
			s.deferred[i].taken = true
			s.decline(d.packet)
		}
	}
	for id, last := range s.published {
		if last == typePubrec {
			s.release(id)
		}
	}
}

// release makes the server finish with a message of QoS 2. The client's PUBREL comes later.
func (s *session) release(id uint16) {
	s.published[id] = typePubrel
	s.released[id] = struct{}{}
	s.toServer(answer(typePubrel, id))
}

// ask sends a SUBSCRIBE packet of this package, and waits for its answer.
func (s *session) ask(p packet, limit time.Time) error {
	s.granted = nil
	s.asked[p.id()] = request{kind: typeSubscribe, ours: true}
	s.toServer(p)
	return s.settle(limit)
}

// flush waits until the server has delivered all messages. It publishes to a topic of the
// session: the server puts this message behind the messages before. Then it looks whether any
// has come since.
func (s *session) flush(limit time.Time) error {
	for {
		before := s.arrivals
		if err := s.probeOnce(limit); err != nil {
			return err
		}
		if err := s.settle(limit); err != nil {
			return err
		}
		if s.arrivals == before {
			return nil
		}
	}
}

// probeOnce publishes a probe and waits until it comes back. A server whose queue is full may
// drop it, so it is sent again after a while.
func (s *session) probeOnce(limit time.Time) error {
	want := s.probed + 1
	for pause := 200 * time.Millisecond; ; pause *= 2 {
		props := []byte(nil)
		if s.opening.level == 5 {
			props = []byte{0}
		}
		s.toServer(build(typePublish<<4, appendString(nil, s.probe), props, fmt.Append(nil, want)))
		until := time.Now().Add(pause)
		if until.After(limit) {
			until = limit
		}
		err := s.wait(until, func() bool { return s.probed >= want })
		switch {
		case errors.Is(err, errLate) && time.Now().Before(limit):
			continue
		case errors.Is(err, errLate):
			return errProbe
		}
		return err
	}
}

// returned notes a probe that came back.
func (s *session) returned(p packet) {
	if p.topic() != s.probe || s.probe == "" {
		return
	}
	_, b, _ := takeString(p.body())
	if s.opening.level == 5 {
		_, b, _ = takeProperties(b)
	}
	n := 0
	if _, err := fmt.Sscan(string(b), &n); err == nil {
		s.probed = max(s.probed, n)
	}
}

// drain is the second round of freeze: when it begins, each session has come through the
// first, so the messages of all clients are in the queues of the server.
func (s *session) drain(limit time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opening.level == 0 {
		return nil
	}
	if err := s.flush(limit); err != nil {
		return err
	}
	if len(s.part) > 0 {
		return errLate
	}
	return nil
}

// run lets client and server exchange packets again, or for the first time. It does not wait for a
// Write that has begun before stop.
func (s *session) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == leaving || s.closed {
		return
	}
	s.phase, s.fails = running, ""
	s.forgetTaken()
	s.sendDeferred()
	for _, p := range s.takeReplies() {
		s.unsent = append(s.unsent, p...)
	}
	read := s.readDeadline
	if !read.IsZero() && time.Until(read) < time.Second {
		read = time.Now().Add(time.Second) // the client could not speak meanwhile
	}
	if s.client != nil {
		_ = s.client.SetReadDeadline(read) // as in stop
		_ = s.client.SetWriteDeadline(s.writeDeadline)
	}
	s.changed.Broadcast()
	go s.sendUnsent() // ends when the client takes the bytes, or its connection ends
}

// sendUnsent writes the bytes that came while the session did not run.
func (s *session) sendUnsent() {
	s.wmu.Lock()
	defer s.wmu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.send(nil) // as in sendReplies
}

// goodbye makes the server end the session as if its client had said goodbye, so that the server
// does not publish its will.
func (s *session) goodbye() {
	if s.opening.level != 0 && !s.raw {
		s.toServer(packet{typeDisconnect << 4, 0})
	}
	s.ended = true
	s.changed.Broadcast()
}
