package reexec

import (
	"sync"
	"sync/atomic"

	"github.com/cutover-go/cutover/reexec/internal/goroutine"
)

// readers are the goroutines that read a packet socket. A datagram is held until the
// goroutine that has read it reads again. With several goroutines it must be that one:
// any other may be a new one, or one whose read has failed.
type readers struct {
	drain *drain
	ended atomic.Bool
	last  atomic.Pointer[reader] // spares a socket with one reader the look-up

	mu  sync.Mutex
	all map[goroutine.ID]*reader
}

// maxReaders bounds the memory of a program that starts a goroutine for each read.
const maxReaders = 1 << 16

// reader is one goroutine.
type reader struct {
	id    goroutine.ID
	laden atomic.Uint64 // the era of the hold on its datagram, plus 1; 0 for none
}

func newReaders(d *drain) *readers {
	return &readers{drain: d, all: map[goroutine.ID]*reader{}}
}

// self returns the calling goroutine. It is done with the datagram that it has read
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
	r.laden.Store(uint64(rs.drain.hold().era) + 1)
	if rs.ended.Load() {
		rs.release(r)
	}
}

// release reports whether r had a datagram.
func (rs *readers) release(r *reader) bool {
	era := r.laden.Swap(0)
	if era == 0 {
		return false
	}
	held{rs.drain, uint32(era - 1)}.release()
	return true
}

// forgetLocked forgets the readers with a datagram: most of so many have ended.
func (rs *readers) forgetLocked() {
	for id, r := range rs.all {
		if rs.release(r) {
			delete(rs.all, id)
		}
	}
	rs.last.Store(nil)
}

// end releases all datagrams, also those that are still to be read: the program has
// closed its socket and can answer none.
func (rs *readers) end() {
	rs.ended.Store(true)
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.all {
		rs.release(r)
	}
}
