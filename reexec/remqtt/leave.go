package remqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"
)

// This file gives all sessions to the successor at once.

// patience limits the time in which the server and the successor finish with a few sessions.
// Clients wait meanwhile.
const patience = 10 * time.Second

// patienceFor is patience for n sessions. A session takes less than a millisecond of a processor.
func patienceFor(n int) time.Duration { return patience + time.Duration(n)*2*time.Millisecond }

// departed is the result of leave.
type departed int

const (
	remain departed = iota // no process takes sessions, and all are dismissed
	left                   // the successor has the sessions; those that cannot move are dismissed
	alone                  // the successor has died, and the sessions that it did not have run on
)

// leave gives the sessions to the successor. resumed is closed when this process serves again.
func (l *listener) leave(stopping, resumed <-chan struct{}) departed {
	if isClosed(stopping) || !l.complete(stopping) || !l.g.CanMove(l.name, linkFormat) {
		return remain
	}
	l.at(stepAsked)
	ours, theirs, err := newLinks()
	if err != nil {
		l.log.Error("mqtt: sessions do not move", "listener", l.name, "error", err)
		return remain
	}
	defer ours.Close()
	d := &departure{listener: l, link: newLink(ours), mark: token(), stopping: stopping, resumed: resumed}
	if err := l.g.Move(context.Background(), l.name, theirs, linkFormat, []byte(d.mark)); err != nil {
		_ = theirs.Close() // nothing was said on it
		if d.isAlone(err) {
			return alone
		}
		return remain
	}
	l.at(stepLinked)
	broken := make(chan struct{})
	go func() { // ends with leave
		select {
		case <-stopping:
			_ = ours.Close() // no process takes sessions in a stop
		case <-l.over:
			_ = ours.Close() // the drain deadline is over
		case <-broken:
		}
	}()
	defer close(broken)
	_ = ours.SetDeadline(time.Now().Add(max(patience, l.g.DrainTime()/2))) // fails on a closed connection only
	if m, err := d.link.receive(); err != nil || !m.Hello {
		if d.isAlone(err) {
			return alone
		}
		return remain
	}
	l.at(stepGreeted)
	return d.give()
}

// complete waits until the sessions of older processes are here.
func (l *listener) complete(stopping <-chan struct{}) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with complete
		select {
		case <-stopping:
			cancel()
		case <-l.over:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer context.AfterFunc(ctx, l.wake)()
	l.mu.Lock()
	defer l.mu.Unlock()
	for (!l.admits || l.links > 0) && ctx.Err() == nil {
		l.changed.Wait()
	}
	return ctx.Err() == nil
}

// departure is one upgrade of a listener.
type departure struct {
	*listener
	link     *link
	mark     string
	limit    time.Time // of the round
	stopping <-chan struct{}
	resumed  <-chan struct{}
}

// isAlone reports whether the successor has died, after the error broken of the link. The link may
// break before the Upgrader has noticed the death, so isAlone moves another link, without a mark: the
// move fails as soon as the Upgrader has, and a process that lives drops that link. If this process
// serves again, the one that lives may be the next successor.
func (d *departure) isAlone(broken error) bool {
	if errors.Is(broken, os.ErrDeadlineExceeded) || broken == nil {
		return false
	}
	ours, theirs, err := newLinks()
	if err != nil {
		return !d.g.CanMove(d.name, linkFormat)
	}
	_ = ours.Close() // nothing is said on it
	moved := make(chan error, 1)
	go func() { // ends when the successor has the link, or with it
		err := d.g.Move(context.Background(), d.name, theirs, linkFormat, nil)
		if err != nil {
			_ = theirs.Close() // nothing was said on it
		}
		moved <- err
	}()
	select {
	case err := <-moved:
		return err != nil || isClosed(d.resumed)
	case <-d.stopping:
		return true
	case <-d.over: // at the drain deadline, and the successor hangs
		return false
	}
}

// give moves all sessions over the link.
func (d *departure) give() departed {
	d.mu.Lock()
	d.left = true
	d.mu.Unlock()
	all := d.list()
	for i, s := range all {
		s.number = i + 1
	}
	d.begin(len(all))
	atOnce(all, func(s *session) { d.unless(s, s.freeze(d.limit)) }) // the server may never finish with many
	d.at(stepFrozen)
	absent := d.openAbsent(len(all)) // also clients that left meanwhile
	both := slices.Concat(all, absent)
	d.begin(len(both))
	each(both, func(s *session) { d.unless(s, s.drain(d.limit)) })
	d.at(stepDrained)
	err := d.sendRetained()
	if err == nil {
		each(both, d.move)
		err = d.link.send(message{End: true})
		d.at(stepEndSent)
	}
	refused := map[int]string{}
	for err == nil {
		var m message
		if m, err = d.link.receive(); m.Over {
			refused = m.Done
			d.at(stepDoneHeard)
			break
		}
	}
	for number, why := range refused {
		d.log.Warn("mqtt: the successor has ended a session", "listener", d.name, "session", number, "reason", why)
	}
	return d.finish(all, absent, err)
}

// begin begins a round of n sessions. Each round has its own limit, so a session that the server does
// not finish with in one round leaves time for the others in the next. In a stop, and after the drain
// deadline, the rounds do not wait.
func (d *departure) begin(n int) {
	d.limit = time.Now()
	if isClosed(d.stopping) || d.isClosed() {
		return
	}
	d.limit = d.limit.Add(patienceFor(n))
	_ = d.link.SetDeadline(d.limit.Add(patienceFor(n))) // the successor has as much time; as in leave
}

// finish ends the sessions in this server that have moved. The others are dismissed, or run on
// if the successor has ended.
func (d *departure) finish(all, absent []*session, err error) departed {
	serves := err != nil && d.isAlone(err)
	if serves {
		d.mu.Lock()
		d.left = false
		d.mu.Unlock()
	}
	if err != nil {
		d.log.Error("mqtt: the link to the successor is broken", "listener", d.name, "error", err)
	}
	for _, s := range absent {
		d.end(s, serves)
	}
	for _, s := range all {
		switch {
		case s.hasMoved():
			d.end(s, serves)
		case serves:
			s.run()
		}
	}
	if serves {
		d.begin(len(absent))
		each(absent, d.awaitClose)
		return alone
	}
	each(d.list(), func(s *session) { s.dismiss(false) })
	return left
}

// awaitClose waits until the server has closed a session without a client. Otherwise the server could
// read its CONNECT packet after that of the next move, and end the session of that move.
func (d *departure) awaitClose(s *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.until(d.limit, func() bool { return s.closed }) // a server that is late harms that client alone
}

func (s *session) hasMoved() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.phase == leaving
}

// end ends a session in this server. keep says that no other process has the messages of its
// client, which is not connected, or whose socket was lost with the successor.
func (d *departure) end(s *session, keep bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if keep && s.persistent() {
		d.mu.Lock()
		if id := s.clientID(); d.live[id] == s { // otherwise opened or closed has kept the messages
			s.forgetTaken() // the server reads its acknowledgments before the goodbye
			d.absent[id] = s.absence()
		}
		d.mu.Unlock()
	}
	s.phase, s.keeps = leaving, false
	s.goodbye()
}

// unless notes why a session does not move.
func (d *departure) unless(s *session, err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, errLeft) && s.client != nil {
		_ = s.until(d.limit, func() bool { return s.closed }) // the server may publish its will
	}
	if s.fails == "" {
		s.fails = err.Error()
	}
	if !errors.Is(err, errLeft) {
		d.log.Warn("mqtt: a session does not move", "listener", d.name, "client", s.clientID(), "address", s.RemoteAddr(), "reason", err)
	}
}

// move gives one session to the successor.
func (d *departure) move(s *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason() != "" || s.gone || s.closed || s.failed != nil {
		return
	}
	n := s.snapshot()
	s.phase, s.keeps = leaving, true // the successor does not run it yet
	s.forgetTaken()                  // s does not see later messages of the server
	s.mu.Unlock()
	err := d.link.send(message{Session: &n})
	if err == nil && s.client != nil {
		d.at(stepSessionSent)
		err = d.g.Move(context.Background(), d.name, s.client, socketFormat, socketData(d.mark, s.number))
		if err != nil {
			_ = d.link.send(message{Stays: &s.number}) // a broken link shows later
		}
		d.at(stepSocketMoved)
	}
	s.mu.Lock()
	if err != nil {
		s.phase, s.keeps = frozen, false
		s.fails = err.Error()
	}
}

func socketData(mark string, number int) []byte { return fmt.Appendf(nil, "%s %d", mark, number) }

// dismissAll tells all clients to come again.
func (l *listener) dismissAll(stops bool) {
	all := l.list()
	l.mu.Lock()
	for _, c := range l.waiting {
		_ = c.Close() // the server has not seen it
	}
	l.waiting = nil
	l.mu.Unlock()
	each(all, func(s *session) { s.dismiss(stops) })
}

// The reason codes of DISCONNECT to clients that come again.
const (
	reasonShuttingDown = 0x8b
	reasonUseAnother   = 0x9c
)

// maxFarewell limits the time that a client has to close its connection.
const maxFarewell = 2 * time.Second

// dismiss ends a session: the server answers the packets before, and the client is told to come
// again. The server does not publish the will.
func (s *session) dismiss(stops bool) {
	s.mu.Lock()
	if s.client == nil || s.closed || s.phase == leaving {
		s.mu.Unlock()
		return
	}
	if s.phase == running {
		s.phase = frozen
	}
	_ = s.client.SetReadDeadline(past) // as in stop
	s.stays, s.fails, s.through = "", "", 0
	s.changed.Broadcast()
	_ = s.wait(time.Now().Add(maxFarewell/4), func() bool { return s.settled() && !s.reading }) // the rest is cut
	s.phase = leaving
	s.goodbye()
	out := s.unsent
	s.unsent = nil
	if s.opening.level == 5 && s.accepted && !s.raw {
		reason := byte(reasonUseAnother)
		if stops {
			reason = reasonShuttingDown
		}
		out = append(out, typeDisconnect<<4, 2, reason, 0)
	}
	s.mu.Unlock()
	end := time.Now().Add(min(maxFarewell, s.l.g.DrainTime()/4))
	_ = s.client.SetWriteDeadline(end) // as in stop
	s.wmu.Lock()
	_, err := s.client.Write(out)
	s.wmu.Unlock()
	if c, ok := s.client.(interface{ CloseWrite() error }); ok && err == nil {
		// A socket that is closed with unread bytes resets the connection, and the client may
		// lose the packet.
		if c.CloseWrite() == nil && s.client.SetReadDeadline(end) == nil {
			_, _ = io.Copy(io.Discard, s.client) // also the time may be over
		}
	}
	_ = s.client.Close() // the client has gone, or goes
}

var _ net.Conn = (*session)(nil)
