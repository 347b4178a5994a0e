package main

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"

	"github.com/quic-go/quic-go"
)

// idLen is the length of our connection IDs: the number of the process that owns the
// connection, and eight random bytes. The number is the same in all of a process's
// connections; a server whose clients must not be told by it would encrypt the ID.
const idLen = 4 + 8

// ids makes the connection IDs of the process with that number.
type ids uint32

func (n ids) ConnectionIDLen() int { return idLen }

func (n ids) GenerateConnectionID() (quic.ConnectionID, error) {
	b := make([]byte, idLen)
	binary.BigEndian.PutUint32(b, uint32(n))
	_, err := rand.Read(b[4:])
	return quic.ConnectionIDFromBytes(b), err
}

// route returns the number of the process whose connection ID the first packet of a
// datagram has (RFC 8999, 5.1 and 5.2). Until it has an answer, a client chooses the
// ID itself: such packets go to the accepting process.
//
// So a handshake that an upgrade cuts in two, the first part of a long ClientHello
// read by one process and the rest by the next, has two servers for a moment. The
// client continues with the server that answers first, sends it the missing part, and
// ignores the other one (RFC 9000, 7.2). That costs a retransmission; a table of client
// addresses would cost more.
func route(datagram []byte, _ netip.AddrPort) (owner uint32) {
	start := 1
	if len(datagram) > 5 && datagram[0]&0x80 != 0 { // a long header: version, length of the ID
		if datagram[5] != idLen {
			return 0
		}
		start = 6
	}
	if len(datagram) < start+idLen {
		return 0
	}
	return binary.BigEndian.Uint32(datagram[start:])
}
