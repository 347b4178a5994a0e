// Package sockets has the named sockets of a process. It decides which of them the program
// gets, which belong into the fd store, and which the next process gets.
package sockets

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/cutover-go/cutover/activation"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/gate"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// ErrStopped is the error for a claim after Close.
var ErrStopped = errors.New("reexec: this process is stopping")

// A Set owns the sockets of this process until Close. FromManager and FromPredecessor return
// one. The zero value has no socket, and none can be bound.
//
// The methods may be called from any goroutine, but only the loop of the Upgrader calls Join,
// Open, Shut, Finish and Abandon, which change the role of all sockets together. The lock mu
// guards the sockets. It is held while gates are opened and shut and while a passed socket is
// claimed, but not while an address is bound, and not during the functions that Store and Sweep get.
type Set struct {
	drain  *drain.Counter // of the work that comes from the sockets
	log    *slog.Logger
	failed atomic.Pointer[error] // error of the last claim that failed, nil if none has

	mu     sync.Mutex
	all    []*socket
	sealed bool // EndClaims was called: no socket can be claimed
	closed bool // Close was called: no socket can be added

	converter fd.Converter // makes listeners of passed descriptors, until EndClaims

	waiting map[string][]*socket // unclaimed sockets by name, and claimed ones before them; nil until next needs it

	obsolete  []string         // names to be removed from the fd store
	handed    bool             // a successor was given the sockets
	forgotten []handover.Entry // files that were forgotten after handed was set

	strays strays
}

// socket is one named descriptor of this process: unclaimed until the program claims it, and
// in use from then on.
type socket struct {
	handover.Entry
	unclaimed *fd.FD  // the descriptor until it is claimed
	use       claimed // the claimed socket, nil before
	stored    bool    // the fd store or a .socket unit has it, too

	info *fd.Info // description of a claimed file, nil until keptSockets needs it
}

// claimed is a descriptor that the program uses: a listener or packet socket behind its gate,
// or a file.
type claimed interface {
	syscall.Conn
	Open()
	Shut()
	Close() error
}

// FromManager takes the sockets that systemd passed. Sockets of units keep their names, and
// entries of the fd store get theirs back. obsolete has the names to remove from the fd store.
// d counts the work that comes from the sockets.
func FromManager(passed []*activation.Descriptor, obsolete []string, d *drain.Counter, log *slog.Logger) *Set {
	s := &Set{obsolete: obsolete, drain: d, log: log}
	units := map[string]int{}
	for _, p := range passed {
		e := handover.Entry{Name: p.Name, Origin: handover.OriginUnit}
		if name, index, ok := storename.ParseSocket(p.Name); ok {
			e = handover.Entry{Name: name, Index: index, Origin: handover.OriginOwn}
		} else {
			e.Index = units[p.Name]
			units[p.Name]++
		}
		s.all = append(s.all, &socket{Entry: e, unclaimed: fd.New(p.Release()), stored: true})
	}
	s.sort()
	return s
}

// FromPredecessor takes the descriptors of a predecessor. d is as in FromManager.
func FromPredecessor(entries []handover.Entry, fds []*fd.FD, d *drain.Counter, log *slog.Logger) *Set {
	s := &Set{drain: d, log: log}
	for i, e := range entries {
		s.all = append(s.all, &socket{Entry: e, unclaimed: fds[i], stored: !e.Unstored})
	}
	s.sort()
	return s
}

// sort puts sockets of one name in order, because the fd store has no order.
func (s *Set) sort() {
	slices.SortStableFunc(s.all, func(a, b *socket) int { return a.Index - b.Index })
}

// add adds use, which this process has opened, under name. It closes use after Close.
func (s *Set) add(name string, use claimed) (*socket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.Join(ErrStopped, use.Close())
	}
	return s.addLocked(name, use), nil
}

func (s *Set) addLocked(name string, use claimed) *socket {
	k := &socket{Entry: handover.Entry{Name: name, Index: s.freeIndex(name), Origin: handover.OriginOwn}, use: use}
	s.all = append(s.all, k)
	return k
}

func (s *Set) freeIndex(name string) int {
	free := 0
	for _, k := range s.all {
		if k.Name == name {
			free = max(free, k.Index+1)
		}
	}
	for slices.Contains(s.obsolete, storename.Socket(name, free)) {
		free++ // Sweep removes each entry with such a name
	}
	return free
}

// Listeners returns the open listeners called name.
func (s *Set) Listeners(name string) (open []*gate.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		if g, ok := k.use.(*gate.Listener); ok && g.Name() == name && !g.Ended() {
			open = append(open, g)
		}
	}
	return open
}
