package remqtt

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
)

// An account is the part of a session that both ends keep: subscriptions, and the messages
// whose exchange has begun. The server has an account of its own; this one follows it.
type account struct {
	subscriptions []subscription

	// Messages to the client.
	deliveries map[uint16]*delivery // by the identifier that the client knows
	ofServer   map[uint16]*delivery // by the identifier that the server knows
	sequence   int                  // of the last delivery
	deferred   []deferred           // messages above the client's Receive Maximum

	// Messages of the client.
	published map[uint16]byte     // identifiers that the server has, with the type of the packet before
	released  map[uint16]struct{} // identifiers that an earlier server has released, and whose PUBREL comes
}

// A delivery is a message with QoS 1 or 2 that was sent to the client.
type delivery struct {
	id       uint16 // that the client knows
	ofServer uint16 // that the server knows
	last     byte   // the type of the packet that was passed last: PUBLISH, PUBREC or PUBREL
	qos      byte
	taken    bool   // the server has its acknowledgment, the client's is for this package
	sequence int    // order of the deliveries
	packet   packet // PUBLISH, nil if the message ends with the connection
}

// deferred is a PUBLISH packet that the client cannot take yet.
type deferred struct {
	packet packet
	taken  bool
}

func newAccount() account {
	return account{
		deliveries: map[uint16]*delivery{}, ofServer: map[uint16]*delivery{},
		published: map[uint16]byte{}, released: map[uint16]struct{}{},
	}
}

// kept returns the part of a that lives on when the client has gone. The server has the rest,
// and sends its deliveries again, with its own identifiers.
func (a account) kept() account {
	k := newAccount()
	k.subscriptions, k.sequence = a.subscriptions, a.sequence
	k.released = maps.Clone(a.released)
	for id, d := range a.deliveries {
		own := *d
		k.deliveries[id] = &own
		if a.ofServer[d.ofServer] == d {
			k.ofServer[d.ofServer] = &own
		}
	}
	for _, d := range a.deferred {
		if d.taken {
			k.deferred = append(k.deferred, d)
		}
	}
	for id, last := range a.published {
		if last == typePubrec {
			k.published[id] = last
		}
	}
	return k
}

// inOrder returns the deliveries, the oldest first.
func (a *account) inOrder() []*delivery {
	return slices.SortedFunc(maps.Values(a.deliveries), func(a, b *delivery) int { return cmp.Compare(a.sequence, b.sequence) })
}

// add notes a delivery of p, and returns it. It prefers the identifier of the server. The caller
// adds it to ofServer if the server of this process knows it.
func (a *account) add(p packet, taken, keep bool) *delivery {
	id := p.id()
	for a.deliveries[id] != nil || id == 0 {
		id++
	}
	a.sequence++
	d := &delivery{id: id, ofServer: p.id(), last: typePublish, qos: p.qos(), taken: taken, sequence: a.sequence}
	if keep {
		d.packet = bytes.Clone(p)
	}
	a.deliveries[id] = d
	return d
}

// forgetTaken forgets the identifiers of the messages that the server has finished with, because the
// server uses these identifiers again.
func (a *account) forgetTaken() {
	maps.DeleteFunc(a.ofServer, func(_ uint16, d *delivery) bool { return d.taken })
}

func (a *account) drop(d *delivery) {
	delete(a.deliveries, d.id)
	if a.ofServer[d.ofServer] == d {
		delete(a.ofServer, d.ofServer)
	}
}

// subscribe notes subscriptions that the server has granted.
func (a *account) subscribe(all []subscription, granted []byte) {
	for i, s := range all {
		if i < len(granted) && granted[i] < 0x80 {
			s.Granted = granted[i]
			a.unsubscribe(s.Filter)
			a.subscriptions = append(a.subscriptions[:len(a.subscriptions):len(a.subscriptions)], s)
		}
	}
}

func (a *account) unsubscribe(filter string) {
	a.subscriptions = slices.DeleteFunc(slices.Clone(a.subscriptions), func(s subscription) bool { return s.Filter == filter })
}

// groups returns the subscriptions in groups that fit into one SUBSCRIBE packet each.
func (a *account) groups() (all [][]subscription) {
	const most = 100
	for i, s := range a.subscriptions {
		if i == 0 || len(all[len(all)-1]) == most || !bytes.Equal(all[len(all)-1][0].Properties, s.Properties) {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], s)
	}
	return all
}
