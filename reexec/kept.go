package reexec

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// A Kept is an open file of any kind, a connection, a FIFO, a memfd, that goes to
// every later generation under its name, and with a manager into its fd store,
// until Forget.
type Kept struct {
	// File is a descriptor of the Kept's own. Forget closes it, and so does
	// Upgrader.Close.
	File *os.File

	u *Upgrader
	s *socket
}

// keptFile is a file among the sockets of a generation. It has no gate: who may use
// the file is the program's business.
type keptFile struct{ *os.File }

func (keptFile) open() {}
func (keptFile) shut() {}

// Keep keeps file under name; several may have one name. The file stays the
// caller's: the Kept has a duplicate. A file that is kept while an upgrade is under way
// stays with this process: if the upgrade succeeds, no other process gets it and the fd
// store does not have it; if the upgrade is undone, it goes into the store then.
//
// The error of a store that does not take the file comes with the Kept: it is kept all the
// same, and stored as soon as that is possible.
//
// A connection that is kept need not move, too. A process that has claimed it refuses it
// from a Move, and Move does not put it into the fd store, which has it already: both
// return [ErrNotMoved]. A process that has not claimed it takes it.
//
// A file that hangs up, a connection whose other end is gone, leaves the fd store
// by itself; to later generations it goes all the same, until Forget.
func (u *Upgrader) Keep(name string, file syscall.Conn) (*Kept, error) {
	if err := checkSocketName(name); err != nil {
		return nil, err
	}
	if file == nil {
		return nil, fmt.Errorf("reexec: keep %q: the file is nil", name)
	}
	d, err := fd.DupOf(file)
	if err != nil {
		return nil, fmt.Errorf("reexec: keep %q: %w", name, err)
	}
	k := &Kept{File: d.File(name), u: u}
	k.s = u.sockets.add(name, keptFile{k.File})
	if r := u.Status(); r.main && r.State == serving.String() {
		return k, u.storeKept()
	}
	return k, nil // Ready or the commit puts it into the store
}

// storeKept stores the sockets that the fd store does not have, if it is still ours.
func (u *Upgrader) storeKept() error {
	u.fdStore.mu.Lock()
	var err error
	if u.fdStore.ours { // else a successor has become main meanwhile
		err = u.storeSockets()
	}
	u.fdStore.mu.Unlock()
	return u.tryLater(err)
}

// tryLater returns err, and has the loop try again what has failed so.
func (u *Upgrader) tryLater(err error) error {
	if err != nil {
		u.post(event{kind: evStored, err: err})
	}
	return err
}

// Claim returns what was kept under name by an earlier process, in the order of its
// Keep, and files of that name which a unit passed. They go on being kept. Call it
// before Ready: what nobody has claimed by then is closed and forgotten.
func (u *Upgrader) Claim(name string) ([]*Kept, error) {
	var all []*Kept
	for {
		k, err := u.claimNext(name)
		if k == nil || err != nil {
			return all, err
		}
		all = append(all, k)
	}
}

// claimNext is Claim for one file; nil means that there is none.
func (u *Upgrader) claimNext(name string) (*Kept, error) {
	k := &Kept{u: u}
	var err error
	k.s, err = u.sockets.claim(name, func(f *fd.FD) (claimed, error) {
		k.File = f.File(name)
		return keptFile{k.File}, nil
	}, func() (claimed, error) { return nil, errNoMore })
	if errors.Is(err, errNoMore) {
		return nil, nil
	}
	if err != nil {
		u.failure.Store(&err)
		return nil, err
	}
	return k, nil
}

// errNoMore ends Claim.
var errNoMore = errors.New("no more")

// Forget ends the keeping and closes File. The main process takes the file out of the fd
// store, too. If an upgrade is under way, the successor forgets the file before it becomes
// the main process: its Kept.File is closed. A second call does nothing.
func (k *Kept) Forget() error {
	ok, closed, removed := k.u.forget(k.s)
	if !ok {
		return nil
	}
	return errors.Join(closed, k.u.tryLater(removed))
}

// forget closes the file of s, and takes it out of the fd store if that is ours. It is not
// ok if s was forgotten before.
func (u *Upgrader) forget(s *socket) (ok bool, closed, removed error) {
	u.fdStore.mu.Lock()
	defer u.fdStore.mu.Unlock()
	stored, ok := u.sockets.remove(s)
	if !ok {
		return false, nil, nil
	}
	closed = s.use.Close()
	if stored != "" && u.fdStore.ours {
		if removed = u.removeStored(stored); removed != nil {
			u.sockets.discard(stored)
		}
	}
	return true, closed, removed
}

// keeps reports whether the socket behind c is that of a Kept: the program has it, or can
// claim it in the next process, and must not get it a second time out of Accept.
func (s *sockets) keeps(c syscall.Conn) bool {
	kept := s.keptSockets()
	if len(kept) == 0 {
		return false
	}
	info := inspect(c)
	return slices.ContainsFunc(kept, func(k *fd.Info) bool { return info.SameSocket(*k) })
}

// keptSockets describes the files in the program's hands.
func (s *sockets) keptSockets() (all []*fd.Info) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.all {
		file, ok := k.use.(keptFile)
		if ok && k.info == nil {
			info := inspect(file)
			k.info = &info
		}
		if ok {
			all = append(all, k.info)
		}
	}
	return all
}

// inspect describes c; the zero value, of a closed one, is the same as no socket.
func inspect(c syscall.Conn) (info fd.Info) {
	fd.Borrow([]syscall.Conn{c}, func(fds []*fd.FD) {
		if fds[0] != nil {
			info, _ = fd.Inspect(fds[0]) // see above
		}
	})
	return info
}
