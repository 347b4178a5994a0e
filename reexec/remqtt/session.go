package remqtt

import (
	"cmp"
	"encoding/binary"
	"net"
	"sync"
	"time"
)

// phase says who has the packets of a session.
type phase int

const (
	running   phase = iota // client and server exchange packets
	frozen                 // the server finishes its work; no packet of the client reaches it
	replaying              // the server is told the facts of an earlier server
	leaving                // the session has another process, or ends
)

// A session is one connection of a client, as the server sees it. It follows the packets of
// both directions. A session without a client is opened to move the messages of a client that
// is not connected.
type session struct {
	l      *listener
	client net.Conn // nil if the client is not connected
	number int      // among the sessions of one upgrade

	wmu sync.Mutex // held by the goroutine that writes to client; taken before mu

	mu      sync.Mutex
	changed *sync.Cond
	phase   phase
	raw     bool   // no MQTT of this process: TLS, or not MQTT
	stays   string // why the session can never move, "" if it can
	fails   string // why it does not move in this upgrade, "" if it does
	keeps   bool   // its end keeps the messages of its client, although the session is leaving
	closed  bool   // the server has closed its end
	ended   bool   // the server's next Read fails
	parked  bool   // the server waits in Read for a packet that is not there
	reading bool   // a Read of client is under way
	failed  error  // of a Read or Write of client

	unread  []byte   // of the client, not looked at
	ready   []byte   // for the server
	through int      // bytes of a long packet that follow for the server
	part    []byte   // the beginning of a packet of the server
	unsent  []byte   // for the client
	replies []packet // of this package, for the client

	readDeadline, writeDeadline time.Time // as the server wants them

	opening  handshake // CONNECT of the client
	welcome  welcome   // CONNACK to it
	connack  packet    // the same, as the server wrote it
	accepted bool      // CONNACK has said yes
	account
	expiry uint32 // of the session when its connection ends, in seconds
	asked  map[uint16]request
	pings  int
	gone   bool // the client has said goodbye

	// While frozen or replaying.
	finishing map[uint16]*delivery // messages of QoS 2 whose PUBREL comes from the server
	probe     string               // topic that only this session has
	answered  welcome              // CONNACK to this package
	granted   []byte               // of the last SUBACK to this package
	probed    int                  // the last probe that came back
	arrivals  int                  // messages that have come from the server
	collects  bool                 // the session is for the retained messages of the server
	collected []packet
}

// request is a SUBSCRIBE or UNSUBSCRIBE packet without an answer.
type request struct {
	kind    byte
	filters []subscription
	ours    bool // of this package
}

// probePrefix begins the topics by which this package asks whether a server has delivered all
// that came before. Wildcards at the begin of a filter do not match it.
const probePrefix = "$cutover/"

func newSession(l *listener, c net.Conn, p phase) *session {
	s := &session{l: l, client: c, phase: p, account: newAccount(), asked: map[uint16]request{}, finishing: map[uint16]*delivery{}}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// persistent reports whether the server keeps the session without a connection.
func (s *session) persistent() bool {
	return s.accepted && s.clientID() != "" && s.expiry > 0
}

// reason returns why the session does not move, "" if it does.
func (s *session) reason() string { return cmp.Or(s.stays, s.fails) }

// clientID returns the identifier that the client has chosen or was given.
func (s *session) clientID() string {
	if s.opening.clientID == "" {
		id, _, _ := takeString(find(s.welcome.props, propAssignedID))
		return string(id)
	}
	return s.opening.clientID
}

const forever = 1<<32 - 1

// expiryOf returns the Session Expiry Interval of level 5. In level 3 and 4 a session that is
// not clean has no end.
func expiryOf(h handshake, props ...[]property) uint32 {
	if h.level < 5 {
		if h.clean() {
			return 0
		}
		return forever
	}
	expiry := uint32(0)
	for _, all := range append([][]property{h.props}, props...) {
		if v := find(all, propExpiry); v != nil {
			expiry = binary.BigEndian.Uint32(v)
		}
	}
	return expiry
}

// fromClient follows a packet of the client, and returns it for the server.
func (s *session) fromClient(p packet) packet {
	switch p.kind() {
	case typeConnect:
		return s.open(p)
	case typePublish:
		return s.publish(p)
	case typePuback, typePubrec, typePubcomp:
		return s.acknowledge(p)
	case typePubrel:
		if _, ok := s.released[p.id()]; ok {
			delete(s.released, p.id())
			s.replies = append(s.replies, answer(typePubcomp, p.id()))
			return nil
		}
		if s.published[p.id()] == typePubrec {
			s.published[p.id()] = typePubrel
		}
	case typeSubscribe, typeUnsubscribe:
		if filters, ok := parseFilters(p, s.opening.level); ok {
			s.asked[p.id()] = request{kind: p.kind(), filters: filters}
		}
	case typePingreq:
		s.pings++
	case typeDisconnect:
		s.leaves(p)
	}
	return p
}

// open notes CONNECT.
func (s *session) open(p packet) packet {
	h, ok := parseConnect(p)
	if !ok || s.opening.level != 0 {
		s.stays = "its CONNECT packet is not valid" // the server says so
		return p
	}
	if find(h.props, propAuthentication) != nil {
		s.stays = "it uses enhanced authentication"
	}
	s.opening = h
	return h.forServer().packet()
}

func (s *session) publish(p packet) packet {
	id := p.id()
	if _, ok := s.released[id]; ok && p.qos() == 2 && p[0]&8 != 0 { // a duplicate
		s.replies = append(s.replies, answer(typePubrec, id))
		return nil
	}
	if p.qos() > 0 {
		s.published[id] = typePublish
	}
	return p
}

// acknowledge follows an acknowledgment of the client.
func (s *session) acknowledge(p packet) packet {
	d := s.deliveries[p.id()]
	if d == nil {
		return p
	}
	switch {
	case p.kind() != typePubrec || s.opening.level == 5 && p.refuses():
		s.drop(d)
		s.sendDeferred()
	case d.taken:
		d.last = typePubrel
		s.replies = append(s.replies, answer(typePubrel, d.id))
	default:
		d.last = typePubrec
	}
	if d.taken {
		return nil
	}
	return p.withID(d.ofServer)
}

// leaves notes that the client says goodbye.
func (s *session) leaves(p packet) {
	s.gone = true
	if body := p.body(); s.opening.level == 5 && len(body) > 1 {
		if props, _, ok := takeProperties(body[1:]); ok && find(props, propExpiry) != nil {
			s.expiry = binary.BigEndian.Uint32(find(props, propExpiry))
		}
	}
}

// fromServer follows a packet of the server, and returns it for the client.
func (s *session) fromServer(p packet) packet {
	id := p.id()
	switch p.kind() {
	case typeConnack:
		return s.welcomes(p)
	case typePublish:
		return s.deliver(p)
	case typePuback, typePubcomp:
		return s.completes(p)
	case typePubrec:
		if _, ok := s.published[id]; ok {
			s.published[id] = typePubrec
			if s.opening.level == 5 && p.refuses() {
				delete(s.published, id)
			} else if s.phase == frozen {
				s.release(id)
			}
		}
	case typePubrel:
		return s.releases(p)
	case typeSuback, typeUnsuback:
		return s.answers(p)
	case typePingresp:
		s.pings = max(0, s.pings-1)
	case typeDisconnect:
		s.stays = "the server ends it"
	}
	if s.client == nil {
		return nil
	}
	return p
}

// completes follows the last packet of the server about a message of the client.
func (s *session) completes(p packet) packet {
	id := p.id()
	delete(s.published, id)
	if _, ok := s.released[id]; ok { // the client's PUBREL has not come
		return nil
	}
	return p
}

// answers follows the answer to a request.
func (s *session) answers(p packet) packet {
	r, ok := s.asked[p.id()]
	if !ok {
		return p
	}
	delete(s.asked, p.id())
	granted := codes(p, s.opening.level)
	switch {
	case r.ours:
		s.granted = granted
		return nil
	case r.kind == typeSubscribe:
		s.subscribe(r.filters, granted)
	default:
		for i, f := range r.filters {
			if i >= len(granted) || granted[i] < 0x80 { // MQTT 3 has no codes
				s.unsubscribe(f.Filter)
			}
		}
	}
	return p
}

// welcomes follows CONNACK.
func (s *session) welcomes(p packet) packet {
	w, ok := parseConnack(p, s.opening.level)
	if !ok || s.accepted {
		s.stays = "its CONNACK packet is not valid"
		return p
	}
	if s.phase == replaying || s.client == nil {
		s.accepted, s.answered = true, w
		if s.phase == replaying || w.present {
			s.l.setLive(s) // its client may come now, and gets the messages that s takes
		}
		return nil
	}
	s.welcome, s.connack = w, append(packet(nil), p...)
	if w.code != 0 {
		return p
	}
	s.accepted = true
	s.expiry = expiryOf(s.opening, w.props)
	s.l.opened(s)
	return w.forClient(p)
}

// toServer adds a packet for the server.
func (s *session) toServer(p packet) {
	s.ready = append(s.ready, p...)
	s.changed.Broadcast()
}
