package remqtt

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// This file takes the sessions of an earlier process.

// receive takes the sessions that come over a link.
func (l *listener) receive(c net.Conn, mark string) {
	k := newLink(c)
	defer k.Close()
	done, whole := map[int]string{}, false
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.links--
		l.expects, l.broken = false, l.broken || !whole
		l.changed.Broadcast()
	}()
	l.at(stepLinkHeard)
	if k.send(message{Hello: true}) != nil {
		return // the predecessor has changed its mind
	}
	var kept retained
	sessions := map[int]snapshot{}
	for !whole {
		m, err := k.receive()
		if err != nil {
			l.log.Error("mqtt: the predecessor ended before all sessions were here", "listener", l.name, "error", err)
			break
		}
		switch {
		case m.Retained != nil:
			kept = *m.Retained
		case m.Session != nil:
			sessions[m.Session.Number] = *m.Session
			l.at(stepSessionHeard)
		case m.Stays != nil:
			delete(sessions, *m.Stays)
		}
		whole = m.End
	}
	l.at(stepEndHeard)
	l.publishRetained(kept)
	all := l.match(sessions, mark, whole)
	l.at(stepMatched)
	l.resume(all, done)
	l.closeStrays(mark)
	l.at(stepResumed)
	_ = k.send(message{Done: done, Over: true}) // the predecessor may have ended
}

// match makes the sessions whose sockets have come. If all were sent, it waits for them.
func (l *listener) match(sessions map[int]snapshot, mark string, whole bool) (all []*session) {
	timer := time.AfterFunc(patienceFor(len(sessions)), l.wake)
	defer timer.Stop()
	limit := time.Now().Add(patienceFor(len(sessions)))
	l.mu.Lock()
	defer l.mu.Unlock()
	for number, n := range sessions {
		key := string(socketData(mark, number))
		for !n.Absent && whole && l.sockets[key] == nil && time.Now().Before(limit) && !l.isClosed() {
			l.changed.Wait()
		}
		c := l.sockets[key]
		delete(l.sockets, key)
		if c == nil && !n.Absent {
			l.late[key] = n
			continue
		}
		s, err := n.session(l, c)
		if err != nil {
			s.stays = err.Error()
		}
		all = append(all, s)
	}
	return all
}

// join takes the socket of a session.
func (l *listener) join(c net.Conn, key string) {
	l.mu.Lock()
	n, late := l.late[key]
	delete(l.late, key)
	mark, _, _ := strings.Cut(key, " ")
	switch {
	case late:
		l.links++
	case l.ended[mark]:
		_ = c.Close() // its session has not come, and its client comes again
	default:
		l.sockets[key] = c
		l.changed.Broadcast()
	}
	l.mu.Unlock()
	if late {
		go l.resumeLate(n, c) // ends when the session runs
	}
}

// resumeLate resumes a session that has come without its socket. c is its socket, or nil.
func (l *listener) resumeLate(n snapshot, c net.Conn) {
	s, err := n.session(l, c)
	if err != nil {
		s.stays = err.Error()
	}
	l.resume([]*session{s}, map[int]string{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.links--
	l.changed.Broadcast()
}

// closeStrays closes the sockets whose sessions have not come over the link with this mark.
func (l *listener) closeStrays(mark string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended[mark] = true
	for key, c := range l.sockets {
		if strings.HasPrefix(key, mark+" ") {
			_ = c.Close() // as in join
			delete(l.sockets, key)
		}
	}
}

// adoptLate resumes the sessions that outlive their connections, and whose sockets were lost with
// the predecessor. Their clients come again, and get the messages that the predecessor has sent.
func (l *listener) adoptLate() {
	var all []snapshot
	l.mu.Lock()
	for key, n := range l.late {
		if n.Connect != nil && n.Expiry > 0 {
			delete(l.late, key)
			n.Absent = true
			all = append(all, n)
			l.links++
		}
	}
	l.mu.Unlock()
	for _, n := range all {
		l.resumeLate(n, nil)
	}
}

// resume opens sessions in the server, and lets all of them run when each is there. It notes
// those that the server does not take.
func (l *listener) resume(all []*session, done map[int]string) {
	limit := time.Now().Add(patienceFor(len(all)))
	var replays []*session
	for _, s := range all {
		if s.phase == replaying {
			replays = append(replays, s)
		}
	}
	each(replays, func(s *session) {
		err := s.replay(limit)
		if err == nil {
			return
		}
		l.log.Warn("mqtt: a session cannot go on, and its client is told to come again", "listener", l.name, "client", s.clientID(), "reason", err)
		l.mu.Lock()
		done[s.number] = err.Error()
		l.mu.Unlock()
	})
	l.at(stepReplayed)
	for _, s := range all {
		switch {
		case done[s.number] != "":
			s.keepMessages()
			go s.dismiss(false) // ends soon
		case s.opening.level == 0:
			l.offer(s)
		case s.client != nil:
			s.run()
		}
	}
}

// replay tells the server the facts of an earlier server. The answers do not reach the client.
func (s *session) replay(limit time.Time) error {
	if s.stays != "" {
		return errors.New(s.stays)
	}
	h := s.opening.again()
	ok := true
	if s.client == nil {
		h, ok = h.withoutClient(s.clientID(), s.expiry)
	}
	if h.level == 5 {
		h.clientID = s.clientID()
	}
	if !ok {
		return errors.New("its CONNECT packet is not valid")
	}
	if !s.l.offer(s) {
		return errLeft
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.toServer(h.packet())
	err := s.wait(limit, func() bool { return s.accepted })
	if err == nil {
		err = s.tell(limit)
	}
	if s.client == nil {
		s.goodbye()
		_ = s.wait(limit, func() bool { return s.closed }) // says that the session has ended
	}
	return err
}

// tell tells the server the subscriptions of a session. If the server breaks a promise, it hears the
// other subscriptions too, because the client comes again to this session.
func (s *session) tell(limit time.Time) error {
	broken := s.answered.fulfills(s.welcome)
	if s.answered.code != 0 {
		return broken
	}
	for i, group := range s.groups() {
		if err := s.ask(subscribe(uint16(i+1), s.opening.level, group), limit); err != nil {
			return err
		}
		for j, sub := range group {
			if j < len(s.granted) && s.granted[j] == sub.Granted {
				continue
			}
			if broken == nil {
				broken = fmt.Errorf("the server answers SUBSCRIBE %q with %x, the client was promised 0x%02x", sub.Filter, s.granted, sub.Granted)
			}
			s.unsubscribe(sub.Filter)
			s.subscribe([]subscription{sub}, s.granted[min(j, len(s.granted)):])
		}
	}
	return errors.Join(broken, s.prepareProbe(limit))
}

// keepMessages makes closed keep the messages of a session that is dismissed, because no other
// session has them.
func (s *session) keepMessages() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keeps = true
}
