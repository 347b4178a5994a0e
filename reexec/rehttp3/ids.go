package rehttp3

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"github.com/quic-go/quic-go"
)

// idLen is the length of our connection IDs: one block of AES.
const idLen = aes.BlockSize

// idForm is in each ID, so that IDs of a later version of this package can be distinguished.
const idForm = 1

// ids makes and reads connection IDs. An ID is a block of the number of the process, idForm
// and eight random bytes, encrypted with a key that all processes know. So an observer cannot
// link two IDs of a connection, and sees no upgrade.
type ids struct {
	block atomic.Pointer[cipher.Block] // set after Ready
}

func (n *ids) setKey(key []byte) error {
	b, err := aes.NewCipher(key)
	n.block.Store(&b)
	return err
}

// route returns the number of the process whose connection ID the first packet of a datagram
// has (RFC 8999, 5.1 and 5.2). Until the client has an answer, it chooses the ID itself: such
// packets go to the accepting process.
//
// So a handshake that an upgrade cuts in two, the first part of a long ClientHello read by one
// process and the rest by the next, has two servers for a moment. The client continues with
// the server that answers first, sends it the missing part, and ignores the other one (RFC
// 9000, 7.2). That costs a retransmission; a table of client addresses would cost more.
func (n *ids) route(datagram []byte, _ netip.AddrPort) (owner uint32) {
	start := 1
	if len(datagram) > 5 && datagram[0]&0x80 != 0 { // a long header: version, length of the ID
		if datagram[5] != idLen {
			return 0
		}
		start = 6
	}
	block := n.block.Load()
	if len(datagram) < start+idLen || block == nil {
		return 0
	}
	var id [idLen]byte
	(*block).Decrypt(id[:], datagram[start:start+idLen])
	if binary.BigEndian.Uint32(id[4:]) != idForm {
		return 0 // an ID that a client has chosen
	}
	return binary.BigEndian.Uint32(id[:])
}

// generator makes the connection IDs of one process.
type generator struct {
	ids   *ids
	owner uint32
}

func (g generator) ConnectionIDLen() int { return idLen }

func (g generator) GenerateConnectionID() (quic.ConnectionID, error) {
	var id [idLen]byte
	binary.BigEndian.PutUint32(id[:], g.owner)
	binary.BigEndian.PutUint32(id[4:], idForm)
	_, err := rand.Read(id[8:])
	(*g.ids.block.Load()).Encrypt(id[:], id[:])
	return quic.ConnectionIDFromBytes(id[:]), err
}
