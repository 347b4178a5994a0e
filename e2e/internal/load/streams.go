package load

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// streams are the connections of a class that speaks HTTP/2. Requests take turns on
// them. Where one is missing, the first request that needs it dials, and those that
// come meanwhile wait.
type streams struct {
	places []*place

	mu      sync.Mutex
	turn    int
	open    map[*muxed]bool
	drained bool
	aborted bool
}

// A place holds one connection, nil if there is none.
type place struct {
	mu sync.Mutex
	m  *muxed
}

func newStreams(conns int) *streams {
	s := &streams{open: make(map[*muxed]bool)}
	for range max(1, conns) {
		s.places = append(s.places, new(place))
	}
	return s
}

func (s *streams) next() *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	return s.places[s.turn%len(s.places)]
}

func (s *streams) add(m *muxed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[m] = true
	if s.aborted {
		m.hangUp()
	}
}

func (s *streams) remove(m *muxed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.hangUp()
	delete(s.open, m)
}

// drain closes each connection once all its requests have their verdicts.
func (s *streams) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained = true
	for m := range s.open {
		m.endIfDone(true)
	}
}

func (s *streams) draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.drained
}

func (s *streams) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drained, s.aborted = true, true
	for m := range s.open {
		m.hangUp()
	}
}

// sendStream puts q on the connection whose turn it is.
func (c *class) sendStream(ctx context.Context, q *request) {
	p := c.streams.next()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.m != nil && p.m.write(ctx, q) == nil {
		return // its reader gives the verdict
	}
	nc, f := c.connect(ctx, q.deadline)
	if f != nil {
		p.m = nil
		c.verdict(ctx, q, f)
		return
	}
	p.m = newMuxed(c, nc)
	c.streams.add(p.m)
	if err := p.m.begin(ctx, q); err != nil {
		c.streams.remove(p.m)
		c.verdict(ctx, q, &Failure{Kind: silentKind(err), Local: nc.LocalAddr().String(), Opened: p.m.opened, Err: err})
		p.m = nil
		return
	}
	m := p.m
	c.busy.Go(func() { m.serve(ctx) }) // ends with the connection; run waits
}

// A muxed is one connection of HTTP/2. Its reader (serve) gives the verdicts.
type muxed struct {
	class  *class
	nc     net.Conn
	opened time.Time
	br     *bufio.Reader

	mu      sync.Mutex // also held over each write
	streams map[uint32]*stream
	id      uint32 // of the next stream
	uses    int    // requests answered
	gone    bool   // takes no more requests
	told    bool   // by a GOAWAY
	hung    bool   // the client has closed it
}

// A stream is a request and the part of its answer that has come.
type stream struct {
	q      *request
	status int
	body   []byte      // its beginning
	late   *time.Timer // for its deadline
}

func newMuxed(c *class, nc net.Conn) *muxed {
	return &muxed{class: c, nc: nc, opened: time.Now(), br: bufio.NewReader(nc), streams: make(map[uint32]*stream), id: 1}
}

// hangUp closes the connection. A second call does nothing. The lock of the
// connection is not needed for it: a write may hold that.
func (m *muxed) hangUp() { _ = m.nc.Close() }

// begin writes q after the preface.
func (m *muxed) begin(ctx context.Context, q *request) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put(ctx, q, preface())
}

// write puts q on the connection. An error means that not one byte was written.
func (m *muxed) write(ctx context.Context, q *request) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone {
		return errGone
	}
	return m.put(ctx, q, nil)
}

// put writes q after the bytes of before. The caller holds mu.
func (m *muxed) put(ctx context.Context, q *request, before []byte) error {
	id := m.id
	m.id += 2
	s := &stream{q: q}
	q.written = time.Now()
	s.late = time.AfterFunc(time.Until(q.deadline), func() { m.expire(ctx, id) })
	m.streams[id] = s
	_ = m.nc.SetWriteDeadline(q.deadline) // as for HTTP/1.1
	n, err := m.nc.Write(m.class.appendRequest(before, id, q))
	m.gone = m.gone || err != nil
	if n > 0 || err == nil {
		return nil
	}
	s.late.Stop()
	delete(m.streams, id)
	return err
}

// expire gives up on a stream whose deadline has come.
func (m *muxed) expire(ctx context.Context, id uint32) {
	if s := m.take(id); s != nil {
		m.lose(ctx, s, &Failure{Kind: Timeout, Err: errors.New("no answer in time")})
	}
	m.endIfDone(m.class.streams.draining())
}

// serve reads until the connection ends.
func (m *muxed) serve(ctx context.Context) {
	defer m.class.streams.remove(m)
	for {
		f, err := readFrame(m.br)
		if err == nil {
			err = m.obey(ctx, f)
		}
		if err != nil {
			m.end(ctx, err)
			return
		}
		m.endIfDone(m.class.streams.draining())
	}
}

// obey handles a frame. An error ends the connection.
func (m *muxed) obey(ctx context.Context, f frame) error {
	switch f.kind {
	case frameHeaders, frameData:
		return m.receive(ctx, f)
	case frameContinuation:
		return errors.New("header fields that do not fit a frame")
	case frameReset:
		return m.reset(ctx, f)
	case frameSettings, framePing:
		if f.has(flagAck) {
			return nil
		}
		var payload []byte
		if f.kind == framePing {
			payload = f.payload
		}
		m.reply(appendFrame(nil, f.kind, flagAck, 0, payload))
	case frameGoAway:
		return m.goAway(ctx, f)
	}
	return nil
}

// reply writes a frame that the server waits for. On a connection that the server has
// closed it fails, but answers may still be there to be read: reading sees the end.
func (m *muxed) reply(b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.nc.SetWriteDeadline(time.Now().Add(m.class.Timeout)) // as for HTTP/1.1
	_, _ = m.nc.Write(b)
}

// receive takes a part of an answer.
func (m *muxed) receive(ctx context.Context, f frame) error {
	part, err := f.unpad()
	if err != nil {
		return err
	}
	m.mu.Lock()
	s := m.streams[f.stream]
	m.mu.Unlock()
	if s == nil {
		return nil // its deadline has come before
	}
	if f.kind == frameData {
		s.body = append(s.body, part[:min(len(part), lineLimit-len(s.body))]...)
		m.reply(appendWindow(nil, max(1, len(f.payload))))
	} else if s.status == 0 { // else they are trailers
		if s.status, err = status(part); err != nil {
			return err
		}
	}
	if f.has(flagEndStream) && m.take(f.stream) != nil {
		m.settle(ctx, s)
	}
	return nil
}

// take removes a stream that gets its verdict now, nil if it has one.
func (m *muxed) take(id uint32) *stream {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[id]
	if s != nil {
		s.late.Stop()
		delete(m.streams, id)
	}
	return s
}

// settle enters the verdict on a complete answer.
func (m *muxed) settle(ctx context.Context, s *stream) {
	line, _, _ := strings.Cut(string(s.body), "\n")
	var a answer
	if s.status != m.class.Status {
		m.lose(ctx, s, &Failure{Kind: BadStatus, Err: fmt.Errorf("status %d instead of %d: %q", s.status, m.class.Status, line)})
	} else if err := m.class.check(&a, line, s.q); err != nil {
		m.lose(ctx, s, &Failure{Kind: Malformed, Err: err})
	} else {
		m.class.tally.answered(s.q, a)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.uses++
}

// lose enters the failure of a stream.
func (m *muxed) lose(ctx context.Context, s *stream, f *Failure) {
	m.mu.Lock()
	f.Reused = m.uses > 0
	m.mu.Unlock()
	f.Local, f.Opened = m.nc.LocalAddr().String(), m.opened
	m.class.verdict(ctx, s.q, f)
}

// reset takes the end of a stream that the server does not answer.
func (m *muxed) reset(ctx context.Context, f frame) error {
	if len(f.payload) != 4 {
		return errors.New("RST_STREAM without a code")
	}
	s := m.take(f.stream)
	code := binary.BigEndian.Uint32(f.payload)
	switch {
	case s == nil:
	case code == refusedStream && s.status == 0:
		m.decline(ctx, s)
	default:
		err := fmt.Errorf("RST_STREAM with code %d", code)
		m.lose(ctx, s, &Failure{Kind: s.cut(Reset), Err: err, spared: true}) // the connection goes on
	}
	return nil
}

// cut returns the kind of failure of an ended stream: kind, if no byte of the answer has
// come.
func (s *stream) cut(kind Kind) Kind {
	if s.status != 0 {
		return Truncated
	}
	return kind
}

// goAway takes no more requests. Those that the server says it will not look at go
// elsewhere.
func (m *muxed) goAway(ctx context.Context, f frame) error {
	if len(f.payload) < 8 {
		return errors.New("GOAWAY without a last stream")
	}
	last := binary.BigEndian.Uint32(f.payload) & (1<<31 - 1)
	var declined []uint32
	m.mu.Lock()
	first := !m.told
	m.gone, m.told = true, true
	for id := range m.streams {
		if id > last {
			declined = append(declined, id)
		}
	}
	m.mu.Unlock()
	if first {
		m.class.tally.count(&m.class.tally.stats.ClosedLast)
	}
	for _, id := range declined {
		if s := m.take(id); s != nil {
			m.decline(ctx, s)
		}
	}
	return nil
}

// decline sends a request again that the server says it has not looked at.
func (m *muxed) decline(ctx context.Context, s *stream) {
	m.class.tally.count(&m.class.tally.stats.Declined)
	m.class.busy.Go(func() { m.class.sendStream(ctx, s.q) }) // ends with the write; run waits
}

// endIfDone closes the connection if no request is on it and none may come.
func (m *muxed) endIfDone(draining bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.streams) == 0 && (m.gone || draining) {
		m.gone, m.hung = true, true
		m.hangUp()
	}
}

// end gives the verdicts on the requests of a connection that has ended.
func (m *muxed) end(ctx context.Context, err error) {
	m.mu.Lock()
	m.gone = true
	idle := len(m.streams) == 0 && m.uses > 0 && !m.hung && !m.told
	lost, counted := m.streams, m.told
	m.streams = make(map[uint32]*stream)
	m.mu.Unlock()
	if idle {
		m.class.tally.endedIdle(err)
	}
	for _, s := range lost {
		s.late.Stop() // too late or not: it is no longer among the streams
		m.lose(ctx, s, &Failure{Kind: s.cut(silentKind(err)), Err: err, spared: counted})
		counted = true
	}
}
