package remqtt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// This file has the packets that open a session: CONNECT, CONNACK and SUBSCRIBE.

// A handshake is a CONNECT packet.
type handshake struct {
	name      []byte // of the protocol, with its length
	level     byte   // 3, 4 or 5
	flags     byte
	keepAlive []byte
	props     []property // of level 5
	clientID  string
	rest      []byte // will, user name and password
}

// The flags of CONNECT.
const (
	flagClean    = 0x02
	flagWill     = 0x04
	flagsOfWills = 0x3c
)

// parseConnect returns the parts of p.
func parseConnect(p packet) (h handshake, ok bool) {
	name, b, ok := takeString(p.body())
	if p[0] != typeConnect<<4 || !ok || len(b) < 4 {
		return h, false
	}
	h = handshake{name: appendString(nil, name), level: b[0], flags: b[1], keepAlive: bytes.Clone(b[2:4])}
	b = b[4:]
	if h.level < 3 || h.level > 5 {
		return h, false
	}
	if h.level == 5 {
		if h.props, b, ok = takeProperties(bytes.Clone(b)); !ok {
			return h, false
		}
	}
	id, rest, ok := takeString(b)
	h.clientID, h.rest = string(id), bytes.Clone(rest)
	return h, ok
}

// packet returns the CONNECT packet.
func (h handshake) packet() packet {
	b := append(bytes.Clone(h.name), h.level, h.flags)
	b = append(b, h.keepAlive...)
	if h.level == 5 {
		b = appendProperties(b, h.props)
	}
	return build(typeConnect<<4, appendString(b, h.clientID), h.rest)
}

func (h handshake) clean() bool { return h.flags&flagClean != 0 }

// forServer returns h without topic aliases, because these are a state of the connection.
func (h handshake) forServer() handshake {
	h.props = without(h.props, propAliasMaximum)
	return h
}

// again returns h for a server that does not know the session.
func (h handshake) again() handshake {
	h = h.forServer()
	if h.level == 5 {
		h.flags |= flagClean // in level 5 the flag says nothing about the end of the session
	}
	return h
}

// withoutClient returns h for a session whose client is not there: it has no will, and all its
// messages may come at once. expiry is the Session Expiry Interval.
func (h handshake) withoutClient(id string, expiry uint32) (handshake, bool) {
	h = h.forServer()
	h.clientID = id
	h.props = without(h.props, propReceiveMaximum)
	if h.level == 5 {
		h.props = append(without(h.props, propExpiry), binary.BigEndian.AppendUint32(property{propExpiry}, expiry))
	}
	if h.flags&flagWill != 0 {
		b := h.rest
		ok := true
		if h.level == 5 {
			_, b, ok = takeProperties(b)
		}
		for range 2 { // the topic and the message
			if ok {
				_, b, ok = takeString(b)
			}
		}
		if !ok {
			return h, false
		}
		h.rest = b
	}
	h.flags &^= flagsOfWills
	return h, true
}

// receiveMaximum returns how many messages the client takes without an acknowledgment.
func (h handshake) receiveMaximum() int {
	if v := find(h.props, propReceiveMaximum); v != nil {
		return int(binary.BigEndian.Uint16(v))
	}
	return 1<<16 - 1
}

// A welcome is a CONNACK packet.
type welcome struct {
	present bool // the server has the session
	code    byte
	props   []property // of level 5
}

func parseConnack(p packet, level byte) (w welcome, ok bool) {
	b := p.body()
	if len(b) < 2 {
		return w, false
	}
	w = welcome{present: b[0]&1 != 0, code: b[1]}
	if level == 5 && len(b) > 2 {
		w.props, _, ok = takeProperties(bytes.Clone(b[2:]))
		return w, ok
	}
	return w, true
}

// forClient returns the packet for the client, which must not use topic aliases.
func (w welcome) forClient(p packet) packet {
	if find(w.props, propAliasMaximum) == nil {
		return p
	}
	return build(p[0], p.body()[:2], appendProperties(nil, without(w.props, propAliasMaximum)))
}

// promises returns the properties that bind the server, in order.
func (w welcome) promises() []property {
	all := without(w.props, propAssignedID, propAliasMaximum, propReason, propUser)
	slices.SortFunc(all, func(a, b property) int { return bytes.Compare(a, b) })
	return all
}

// fulfills returns an error if a client to which a server said before cannot go on with w.
func (w welcome) fulfills(before welcome) error {
	switch {
	case w.code != 0:
		return fmt.Errorf("the server refuses CONNECT with code 0x%02x", w.code)
	case !slices.EqualFunc(w.promises(), before.promises(), func(a, b property) bool { return bytes.Equal(a, b) }):
		return fmt.Errorf("the server answers CONNECT with properties %x, the client was promised %x", w.promises(), before.promises())
	}
	return nil
}

// A subscription is one topic filter of a client.
type subscription struct {
	Filter     string
	Options    byte
	Properties []byte // of the SUBSCRIBE packet, with their length
	Granted    byte
}

// The options of a subscription.
const (
	optionRetainAsPublished = 0x08
	optionRetainNever       = 0x20 // Retain Handling 2
	optionRetainBits        = 0x30
)

// parseFilters returns the filters of a SUBSCRIBE or UNSUBSCRIBE packet.
func parseFilters(p packet, level byte) (all []subscription, ok bool) {
	b := p.body()
	if len(b) < 2 {
		return nil, false
	}
	b = b[2:]
	props := []byte(nil)
	if level == 5 {
		_, rest, ok := takeProperties(b)
		if !ok {
			return nil, false
		}
		props, b = bytes.Clone(b[:len(b)-len(rest)]), rest
	}
	for len(b) > 0 {
		filter, rest, ok := takeString(b)
		s := subscription{Filter: string(filter), Properties: props}
		if p.kind() == typeSubscribe && ok {
			if ok = len(rest) > 0; ok {
				s.Options, rest = rest[0], rest[1:]
			}
		}
		if !ok {
			return nil, false
		}
		all, b = append(all, s), rest
	}
	return all, true
}

// subscribe returns a SUBSCRIBE packet for filters with the same properties. In level 5 it asks
// for no retained messages.
func subscribe(id uint16, level byte, filters []subscription) packet {
	b := binary.BigEndian.AppendUint16(nil, id)
	if level == 5 {
		b = append(b, filters[0].Properties...)
	}
	for _, f := range filters {
		options := f.Options
		if level == 5 {
			options = options&^optionRetainBits | optionRetainNever
		}
		b = append(appendString(b, f.Filter), options)
	}
	return build(typeSubscribe<<4|2, b)
}

// codes returns the reason codes of a SUBACK or UNSUBACK packet.
func codes(p packet, level byte) []byte {
	b := p.body()
	if len(b) < 2 {
		return nil
	}
	b = b[2:]
	if level == 5 {
		_, rest, ok := takeProperties(b)
		if !ok {
			return nil
		}
		b = rest
	}
	return b
}
