package gate

import (
	"sync"
	"sync/atomic"

	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/goroutine"
)

// Readers are the goroutines that read a packet socket. A datagram is held until the goroutine
// that has read it reads again. A read of another goroutine does not release it.
type Readers struct {
	drain *drain.Counter
	ended atomic.Bool
	last  atomic.Pointer[Reader] // the last reader: a socket with one reader needs no look-up

	mu  sync.Mutex
	all map[goroutine.ID]*Reader
}

// maxReaders bounds the memory of a program that starts a goroutine for each read.
const maxReaders = 1 << 16

// Reader is one goroutine.
type Reader struct {
	id    goroutine.ID
	laden atomic.Uint64 // epoch of the hold on its datagram plus 1; 0 if it holds none
}

// NewReaders returns the readers of one socket. d counts the datagrams.
func NewReaders(d *drain.Counter) *Readers {
	return &Readers{drain: d, all: map[goroutine.ID]*Reader{}}
}

// Self returns the reader of the calling goroutine, and releases the datagram that it read
// before.
func (rs *Readers) Self() *Reader {
	id := goroutine.Self()
	r := rs.last.Load()
	if r == nil || r.id != id {
		r = rs.find(id)
		rs.last.Store(r)
	}
	rs.Release(r)
	return r
}

func (rs *Readers) find(id goroutine.ID) *Reader {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.all[id]
	if r == nil {
		if len(rs.all) >= maxReaders {
			rs.forgetLocked()
		}
		r = &Reader{id: id}
		rs.all[id] = r
	}
	return r
}

// Hold holds the datagram that r has read.
func (rs *Readers) Hold(r *Reader) {
	r.laden.Store(uint64(rs.drain.Hold().Epoch()) + 1)
	if rs.ended.Load() {
		rs.Release(r)
	}
}

// Release releases the datagram of r. It returns false if r holds none.
func (rs *Readers) Release(r *Reader) bool {
	epoch := r.laden.Swap(0)
	if epoch == 0 {
		return false
	}
	rs.drain.Release(uint32(epoch - 1))
	return true
}

// forgetLocked releases and forgets all readers with a datagram, because most of so many
// goroutines have ended.
func (rs *Readers) forgetLocked() {
	for id, r := range rs.all {
		if rs.Release(r) {
			delete(rs.all, id)
		}
	}
	rs.last.Store(nil)
}

// End releases all datagrams, and later Hold releases at once: the program has closed its
// socket and cannot answer.
func (rs *Readers) End() {
	rs.ended.Store(true)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.all {
		rs.Release(r)
	}
}
