package remqtt

import (
	"errors"
	"time"
)

// This file has the sessions whose clients are not connected.

// absence is a session whose client is not connected.
type absence struct {
	opening handshake
	welcome welcome
	connack packet
	account account
	expiry  uint32
	since   time.Time
}

// absence returns s for the time in which its client is not connected.
func (s *session) absence() absence {
	return absence{s.opening, s.welcome, s.connack, s.kept(), s.expiry, time.Now()}
}

// expired reports whether the server has dropped the session.
func (a absence) expired() bool {
	return a.expiry != forever && time.Since(a.since) > time.Duration(a.expiry)*time.Second
}

// openAbsent opens a session for each client that is not connected, and gets its messages.
func (d *departure) openAbsent(number int) (all []*session) {
	d.mu.Lock()
	for id, a := range d.absent {
		if a.expired() {
			delete(d.absent, id)
			continue
		}
		number++
		s := newSession(d.listener, nil, frozen)
		s.number, s.opening, s.welcome, s.connack, s.account, s.expiry = number, a.opening, a.welcome, a.connack, a.account.kept(), a.expiry
		all = append(all, s)
	}
	d.mu.Unlock()
	d.begin(number)
	each(all, func(s *session) {
		err := s.connect(d.limit)
		if errors.Is(err, errDropped) {
			d.erase(s)
		}
		d.unless(s, err)
	})
	atOnce(all, func(s *session) { d.unless(s, s.collect(d.limit)) }) // as in give
	return all
}

// connect opens a session in the server, for a client that is not connected.
func (s *session) connect(limit time.Time) error {
	h, ok := s.opening.withoutClient(s.clientID(), s.expiry)
	if !ok {
		return errors.New("its CONNECT packet is not valid")
	}
	h.flags &^= flagClean
	if !s.l.offer(s) {
		return errLeft
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toServer(h.packet())
	if err := s.wait(limit, func() bool { return s.accepted }); err != nil {
		return err
	}
	switch {
	case s.answered.code != 0:
		s.stays = "the server refuses its CONNECT packet"
		return errLeft
	case !s.answered.present:
		s.stays = errDropped.Error()
		return errDropped
	}
	return nil
}

// collect gets the messages of a session that connect has opened.
func (s *session) collect(limit time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason() != "" {
		return nil // it was not opened
	}
	return s.finish(limit)
}

// erase makes the server drop the session that connect has opened anew. If the move fails, the client
// of s comes to this process, and must not find a session without its subscriptions.
func (d *departure) erase(s *session) {
	h, _ := s.opening.withoutClient(s.clientID(), 0) // valid, because connect has sent it
	d.mu.Lock()
	delete(d.absent, h.clientID)
	came := d.live[h.clientID] != nil
	d.mu.Unlock()
	if came {
		return // its client has subscribed anew
	}
	h.flags |= flagClean
	e, err := d.openOwn(h, d.limit)
	defer e.mu.Unlock()
	defer e.depart()
	if err != nil {
		d.log.Warn("mqtt: a session without subscriptions stays in the server", "listener", d.name, "client", h.clientID, "reason", err)
	}
}
