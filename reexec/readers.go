package reexec

import (
	"sync"
	"sync/atomic"

	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/goroutine"
)

// readers are the goroutines that read a packet socket. A datagram is held until the goroutine
// that has read it reads again. A read of another goroutine does not release it.
type readers struct {
	drain *drain.Counter
	ended atomic.Bool
	last  atomic.Pointer[reader] // the last reader: a socket with one reader needs no look-up

	mu  sync.Mutex
	all map[goroutine.ID]*reader
}

// maxReaders bounds the memory of a program that starts a goroutine for each read.
const maxReaders = 1 << 16

// reader is one goroutine.
type reader struct {
	id    goroutine.ID
	laden atomic.Uint64 // era of the hold on its datagram plus 1; 0 if it holds none
}

func newReaders(d *drain.Counter) *readers {
	return &readers{drain: d, all: map[goroutine.ID]*reader{}}
}

// self returns the reader of the calling goroutine, and releases the datagram that it read
// before.
func (rs *readers) self() *reader {
	id := goroutine.Self()
	r := rs.last.Load()
	if r == nil || r.id != id {
		r = rs.find(id)
		rs.last.Store(r)
	}
	rs.release(r)
	return r
}

func (rs *readers) find(id goroutine.ID) *reader {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.all[id]
	if r == nil {
		if len(rs.all) >= maxReaders {
			rs.forgetLocked()
		}
		r = &reader{id: id}
		rs.all[id] = r
	}
	return r
}

// hold holds the datagram that r has read.
func (rs *readers) hold(r *reader) {
	r.laden.Store(uint64(rs.drain.Hold().Epoch()) + 1)
	if rs.ended.Load() {
		rs.release(r)
	}
}

// release releases the datagram of r. It returns false if r holds none.
func (rs *readers) release(r *reader) bool {
	era := r.laden.Swap(0)
	if era == 0 {
		return false
	}
	rs.drain.Release(uint32(era - 1))
	return true
}

// forgetLocked releases and forgets all readers with a datagram, because most of so many
// goroutines have ended.
func (rs *readers) forgetLocked() {
	for id, r := range rs.all {
		if rs.release(r) {
			delete(rs.all, id)
		}
	}
	rs.last.Store(nil)
}

// end releases all datagrams, and later hold releases at once: the program has closed its
// socket and cannot answer.
func (rs *readers) end() {
	rs.ended.Store(true)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.all {
		rs.release(r)
	}
}
