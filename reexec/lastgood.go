package reexec

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/startup"
	"github.com/cutover-go/cutover/reexec/internal/storename"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file keeps the last good program: the executable of the process that served before, as a
// descriptor in the fd store. The name of the entry has the identity of the program that is not
// proven. As long as the entry is there, a start of that program executes the last good one, see
// fallback.go.
//
//	the predecessor stores the entry     before MAINPID=, and when an upgrade was undone because
//	                                     of its successor
//	the main process removes the entry   when it has served for Options.Probation, when it is
//	                                     told to stop, and when it stores one for another program
//
// So a death removes nothing: not a crash, SIGKILL, the OOM killer or the watchdog. A stop or
// restart that an operator asks for does, and then the file on disk is started. A process that is
// not proven keeps the program that was good for itself, not its own, for its successor.

// lastGood has the entries of the fd store, and the program that they have.
type lastGood struct {
	me        string         // identity of this program, "" if it is not known
	insteadOf *failedProgram // nil unless this process is the last good program

	mu       sync.Mutex
	names    []string // entries of the fd store
	unproven bool     // the process before has stored an entry for this program
	file     *fd.FD   // the last good program while this one is unproven, nil if it was not passed
}

// entries returns a copy of the names, so that mu is not held while the manager is sent a message.
func (g *lastGood) entries() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.names)
}

func (g *lastGood) add(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.names = append(g.names, name)
}

func (g *lastGood) drop(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.names = slices.DeleteFunc(g.names, func(n string) bool { return n == name })
}

// inherit takes the entries of the process before, and the program that they have.
func (g *lastGood) inherit(names []string, file *fd.FD) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.file.Close() // nil, or of an upgrade that was not committed
	g.names, g.file = names, file
	g.unproven = slices.Contains(names, storename.Good(g.me))
}

// receive is inherit for the message of the predecessor.
func (g *lastGood) receive(m handover.LastGood) {
	if len(m.FDs) != 1 {
		fd.CloseAll(m.FDs)
		m.FDs = []*fd.FD{nil}
	}
	g.inherit(m.Names, m.FDs[0])
}

// has reports whether the entry for the program identity exists.
func (g *lastGood) has(identity string) bool {
	return slices.Contains(g.entries(), storename.Good(identity))
}

// reopen returns a new open file of the last good program, because the fd store keeps an open file
// only once.
func (g *lastGood) reopen() (*os.File, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case !g.unproven:
		return os.Open(startup.Self)
	case g.file.Raw() < 0:
		return nil, errors.New("the predecessor has not passed the last good program")
	}
	return os.Open("/proc/self/fd/" + strconv.Itoa(g.file.Raw()))
}

// dup returns a descriptor of the last good program for another process.
func (g *lastGood) dup() (*fd.FD, error) {
	file, err := g.reopen()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return fd.DupOf(file)
}

func (g *lastGood) close() { g.inherit(nil, nil) }

// keepLastGood stores the last good program for the program of s. Without room or on an error the
// upgrade goes on, and a crash starts the program on disk.
func (u *Upgrader) keepLastGood(s *successor) {
	if s == nil {
		return
	}
	identity := s.identity()
	if u.opts.Probation == 0 || !u.supervised() || identity == "" || identity == u.manager.good.me {
		return
	}
	u.manager.store.mu.Lock()
	defer u.manager.store.mu.Unlock()
	if !u.manager.store.ours {
		return
	}
	if err := u.storeLastGood(s, identity); err != nil {
		u.log.Warn("the last good program is not kept, so a crash starts the program on disk", "error", err)
	}
}

func (u *Upgrader) storeLastGood(s *successor, identity string) error {
	if u.manager.good.has(identity) {
		return nil
	}
	var file *os.File
	err := u.afford(func() (err error) {
		file, err = u.manager.good.reopen()
		return err
	})
	if err != nil {
		return err
	}
	defer file.Close()
	if same, err := fd.Identity(file.Name()); err != nil || same == identity {
		return err // the successor is the last good program
	}
	if err := u.roomForLastGood(); err != nil {
		return err
	}
	name := storename.Good(identity)
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	if err := u.manager.notifier.Store(ctx, name, file); err != nil {
		return err
	}
	u.manager.good.add(name)
	s.keptGood.Store(true)
	fault.At(fault.LastGoodStored)
	return u.removeLastGood(name, storename.Good(u.manager.good.me))
}

// roomForLastGood returns an error if the fd store has no room for the entry beside the marks of
// the upgrade.
func (u *Upgrader) roomForLastGood() error {
	const marks = 2
	limit := u.manager.notifier.StoreMax()
	if used := u.sockets.InStore() + u.states.InStore() + len(u.manager.good.entries()); limit > 0 && used+marks >= limit {
		return fmt.Errorf("the fd store holds %d files and has no room for it: raise FileDescriptorStoreMax= of the unit", limit)
	}
	return nil
}

// removeLastGood removes all entries except those called keep. The caller holds fdStore.mu.
func (u *Upgrader) removeLastGood(keep ...string) (err error) {
	for _, name := range u.manager.good.entries() {
		if slices.Contains(keep, name) {
			continue
		}
		removed := u.removeStored(name)
		if err = errors.Join(err, removed); removed == nil {
			u.manager.good.drop(name)
		}
	}
	return err
}

// handLastGood sends the entries to the successor, which will be the main process.
func (u *Upgrader) handLastGood(s *successor) {
	m := handover.LastGood{Names: u.manager.good.entries()}
	if len(m.Names) == 0 {
		return
	}
	program, err := u.manager.good.dup()
	if err == nil {
		defer program.Close()
		m.FDs = []*fd.FD{program}
	}
	err = errors.Join(err, s.say(u.tasks.life, m)) // a successor without it removes no entry
	if err != nil {
		u.log.Debug("last good program is not passed to the successor", "error", err)
	}
}
