package rehttp

import (
	"crypto/tls"
	"encoding/binary"
	"net/http"
	"sync/atomic"
)

// This file finds the end of a TLS handshake in the bytes of a client, because the size of the
// first request counts from there. The type and length of each record are plain text (RFC 8446,
// 5.1).

const (
	recordHeader    = 5
	applicationData = 23
)

// records follows the records of a connection until two have application data. The zero value is
// the beginning of a connection.
type records struct {
	read int64 // bytes that were read
	next int64 // position of the next record
	head [recordHeader]byte
	have int // bytes of head
	data int // records of application data

	at [2]atomic.Int64 // positions of the records of application data, 0 until they are read
}

// follow follows the bytes of p.
func (r *records) follow(p []byte) {
	for len(p) > 0 && r.data < len(r.at) {
		if skip := min(r.next-r.read, int64(len(p))); skip > 0 {
			p, r.read = p[skip:], r.read+skip
			continue
		}
		n := copy(r.head[r.have:], p)
		p, r.read, r.have = p[n:], r.read+int64(n), r.have+n
		if r.have < recordHeader {
			return
		}
		r.have, r.next = 0, r.read+int64(binary.BigEndian.Uint16(r.head[3:]))
		switch {
		case r.head[0] < 20 || r.head[0] > 24 || r.head[1] != 3: // no TLS
			r.data = len(r.at)
		case r.head[0] == applicationData:
			r.at[r.data].Store(r.read - recordHeader)
			r.data++
		}
	}
}

// recordsRead returns the records of c. Only the goroutine that reads calls it.
func (c *conn) recordsRead() *records {
	r := c.records.Load()
	if r == nil {
		r = new(records)
		c.records.Store(r)
	}
	return r
}

// handshakeEnd returns the number of bytes of the handshake of k, 0 if it is not known. r is the first
// request. In TLS 1.3 the first record of application data has the end of the handshake, or a
// part of it if the client has sent a certificate.
func (k *client) handshakeEnd(r *http.Request) int64 {
	if k.own == nil {
		return 0
	}
	records := k.own.records.Load()
	switch {
	case records == nil || r.TLS == nil || len(r.TLS.PeerCertificates) > 0:
		return 0
	case r.TLS.Version < tls.VersionTLS13:
		return records.at[0].Load()
	}
	return records.at[1].Load()
}
