package remqtt

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/cutover-go/cutover/internal/fd"
)

// The formats of moved connections: a link has no client, and carries the sessions;
// a socket is the connection of a client. The data of a link is a token, and the data of a
// socket is that token with the number of its session.
const (
	linkFormat   = "mqtt-link/1"
	socketFormat = "mqtt/1"
	newFormat    = "mqtt-new/1" // a connection that no server has seen
)

// A message is a line of the link. Unknown fields are ignored.
type message struct {
	Hello    bool           `json:",omitempty"` // of the successor: it reads
	Retained *retained      `json:",omitempty"`
	Session  *snapshot      `json:",omitempty"` // before its socket moves
	Stays    *int           `json:",omitempty"` // the number of a session whose socket has not moved
	End      bool           `json:",omitempty"` // all sessions were sent
	Done     map[int]string `json:",omitempty"` // of the successor: all sessions run, except for these
	Over     bool           `json:",omitempty"` // with Done
}

// retained has the retained messages of a server, as PUBLISH packets.
type retained struct {
	Level   byte // of MQTT
	Packets []packet
}

// A snapshot is a session between two servers.
type snapshot struct {
	Number        int
	Absent        bool    // the client is not connected
	Connect       packet  // of the client, nil if it has said nothing
	Connack       packet  // to it
	Expiry        uint32  // of the session when its connection ends, in seconds
	Age           float64 // of the absence, in seconds
	Unread        []byte  // of the client
	Unsent        []byte  // for the client
	Subscriptions []subscription
	Deliveries    []moving
	Deferred      []packet
	Released      []uint16
}

// moving is a delivery that an earlier server has finished with.
type moving struct {
	ID     uint16
	Last   byte // the type of the packet that was passed last
	Packet packet
}

// snapshot returns the state of a session that is frozen. The caller has mu.
func (s *session) snapshot() snapshot {
	n := snapshot{
		Number: s.number, Absent: s.client == nil, Connack: s.connack, Expiry: s.expiry,
		Unread: s.unread, Unsent: s.unsent, Subscriptions: s.subscriptions,
		Released: slices.Collect(maps.Keys(s.released)),
	}
	if s.opening.level != 0 {
		n.Connect = s.opening.packet()
	}
	for _, d := range s.inOrder() {
		if !d.taken {
			continue // the server has given it up
		}
		n.Deliveries = append(n.Deliveries, moving{d.id, d.last, d.packet})
	}
	for _, d := range s.deferred {
		n.Deferred = append(n.Deferred, d.packet)
	}
	return n
}

// session returns the session of n.
func (n snapshot) session(l *listener, c net.Conn) (*session, error) {
	s := newSession(l, c, replaying)
	s.number, s.unread, s.unsent, s.expiry = n.Number, n.Unread, n.Unsent, n.Expiry
	if n.Connect == nil {
		s.phase = running
		return s, nil
	}
	if !n.Connect.whole() || !n.Connack.whole() {
		return s, errors.New("its packets are not valid")
	}
	var ok, welcome bool
	s.opening, ok = parseConnect(n.Connect)
	s.welcome, welcome = parseConnack(n.Connack, s.opening.level)
	if !ok || !welcome {
		return s, errors.New("its packets are not valid")
	}
	s.connack, s.subscriptions = n.Connack, n.Subscriptions
	for _, m := range n.Deliveries {
		s.sequence++
		d := &delivery{id: m.ID, last: m.Last, qos: 2, taken: true, sequence: s.sequence, packet: m.Packet}
		if m.Packet.whole() {
			d.qos = m.Packet.qos()
		}
		s.deliveries[m.ID] = d
	}
	for _, p := range n.Deferred {
		if p.whole() {
			s.deferred = append(s.deferred, deferred{p, true})
		}
	}
	for _, id := range n.Released {
		s.released[id] = struct{}{}
	}
	return s, nil
}

// whole reports whether p is one packet.
func (p packet) whole() bool { return len(p) > 0 && size(p) == len(p) }

// A link is one end of the connection between two processes.
type link struct {
	net.Conn
	mu sync.Mutex
	in *json.Decoder
}

// portion is the largest datagram on a link.
const portion = 32 << 10

func newLink(c net.Conn) *link { return &link{Conn: c, in: json.NewDecoder(&datagrams{c: c})} }

// newLinks returns the two ends of a link.
func newLinks() (ours, theirs net.Conn, err error) {
	a, b, err := fd.Pair()
	if err != nil {
		return nil, nil, err
	}
	if ours, err = a.Conn(); err == nil {
		theirs, err = b.Conn()
	}
	if err != nil {
		_, _ = a.Close(), b.Close() // the error says enough
		if ours != nil {
			_ = ours.Close() // as above
		}
		return nil, nil, err
	}
	return ours, theirs, nil
}

func (k *link) send(m message) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for part := range slices.Chunk(append(b, '\n'), portion) {
		if _, err := k.Write(part); err != nil {
			return err
		}
	}
	return nil
}

func (k *link) receive() (m message, err error) {
	err = k.in.Decode(&m)
	return m, err
}

// datagrams reads datagrams as a stream.
type datagrams struct {
	c    net.Conn
	buf  [portion]byte
	rest []byte
}

func (d *datagrams) Read(b []byte) (int, error) {
	for len(d.rest) == 0 {
		n, err := d.c.Read(d.buf[:])
		if err != nil {
			return 0, err
		}
		if n == 0 {
			return 0, io.EOF
		}
		d.rest = d.buf[:n]
	}
	n := copy(b, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// each calls f for all sessions, some at a time, because a server may ask another program about each.
func each(all []*session, f func(*session)) {
	const most = 64
	var work sync.WaitGroup
	free := make(chan struct{}, most)
	for _, s := range all {
		free <- struct{}{}
		work.Go(func() {
			f(s)
			<-free
		})
	}
	work.Wait()
}

// atOnce calls f for all sessions at the same time, so a session that waits delays no other one.
func atOnce(all []*session, f func(*session)) {
	var work sync.WaitGroup
	for _, s := range all {
		work.Go(func() { f(s) })
	}
	work.Wait()
}
