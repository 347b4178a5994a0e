package reexec

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
)

// This file is how a predecessor learns whether the manager took MAINPID=. The
// manager answers no notification, and a barrier shows only that it has read one. But
// it removes an entry from the fd store for an authorised process alone, which under
// NotifyAccess=main is the main process, and closes the descriptor. So the predecessor
// stores two marks, each the end of a socket pair. After MAINPID= the successor asks
// for the removal of the first. If nothing comes of that, the predecessor asks for the
// removal of the second. The mark that hangs up shows which process is the main one.
//
// The entries need no cleaning up: the manager drops an entry when the process at the
// other end closes it or dies.

// Names of the marks in the fd store. Programs that do not know them take them for
// unclaimed sockets of their own, and remove them.
var (
	successorMark   = storeName(storePrefix+"main.successor", 0)
	predecessorMark = storeName(storePrefix+"main.predecessor", 0)
)

// isMark reports whether name is the name of a mark in the fd store.
func isMark(name string) bool { return name == successorMark || name == predecessorMark }

// proof is the predecessor's side of both marks.
type proof struct {
	successor   *mark
	predecessor *mark
}

// mark is our end of one pair. The fd store has the other end.
type mark struct {
	conn net.Conn
	gone chan struct{} // closed when the manager has closed its end
}

// prove stores the marks. The proof is nil if the manager does not hold both of them:
// without room in the fd store there is none.
func (u *Upgrader) prove(ctx context.Context) *proof {
	p := &proof{}
	var err error
	if p.successor, err = u.storeMark(ctx, successorMark); err == nil {
		p.predecessor, err = u.storeMark(ctx, predecessorMark)
	}
	if err == nil {
		err = u.barrier(ctx)
	}
	if err == nil {
		err = p.held()
	}
	if err != nil {
		p.close()
		u.log.Debug("the manager cannot be asked whether it takes MAINPID=", "error", err)
		return nil
	}
	return p
}

func (u *Upgrader) storeMark(ctx context.Context, name string) (*mark, error) {
	ours, theirs, err := fd.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := ours.Conn()
	if err != nil {
		return nil, err
	}
	m := &mark{conn, make(chan struct{})}
	u.task(m.wait) // ends when either end is closed
	if err := u.notifier.Store(ctx, name, theirs); err != nil {
		_ = conn.Close() // never used
		return nil, err
	}
	return m, nil
}

// wait closes gone when the other end is closed. Nothing is ever written to it.
func (m *mark) wait() {
	if _, err := m.conn.Read(make([]byte, 1)); err == io.EOF {
		close(m.gone)
	}
}

// held returns an error if the manager does not hold both marks.
func (p *proof) held() error {
	for _, m := range []*mark{p.successor, p.predecessor} {
		gone, err := fd.HungUp(m.conn.(*net.UnixConn))
		if err != nil {
			return err
		}
		if gone {
			return errors.New("the fd store has no room for two more entries (FileDescriptorStoreMax=)")
		}
	}
	return nil
}

// close has the manager drop the marks that it still holds. A nil proof has none.
func (p *proof) close() {
	if p == nil {
		return
	}
	for _, m := range []*mark{p.successor, p.predecessor} {
		if m != nil {
			_ = m.conn.Close() // nothing was written
		}
	}
}

// verdict is what became of MAINPID=.
type verdict string

const (
	unknown verdict = "unknown" // the successor died, does not answer, or there is no proof
	taken   verdict = "taken"
	refused verdict = "refused"
)

// judge waits until it is certain which process the manager takes for the main one.
// The successor has been told to ask for the removal of its mark.
func (u *Upgrader) judge(p *proof, s *successor) verdict {
	if p == nil {
		return unknown
	}
	switch u.first(s, confirmTimeout, p.successor.gone, s.acknowledged) {
	case 0:
		return taken
	case -1:
		return unknown
	}
	// The manager may close a descriptor some time after it has removed the entry.
	if u.first(s, hangupGrace, p.successor.gone, nil) == 0 {
		return taken
	}
	ctx, cancel := saying(u.life)
	defer cancel()
	if err := u.notifier.Remove(ctx, predecessorMark); err != nil {
		return unknown
	}
	switch u.first(s, confirmTimeout, p.successor.gone, p.predecessor.gone) {
	case 0:
		return taken
	case -1:
		return unknown
	}
	// With NotifyAccess=all the manager obeys both, and may close them in any order.
	if u.first(s, hangupGrace, p.successor.gone, nil) == 0 {
		return taken
	}
	return refused
}

// first returns which of a and b is closed first, 0 or 1. It returns -1 when limit is
// over, s has ended or the Upgrader is closed.
func (u *Upgrader) first(s *successor, limit time.Duration, a, b <-chan struct{}) int {
	select {
	case <-a:
		return 0
	case <-b:
		return 1
	case <-time.After(limit):
	case <-s.process.Over():
	case <-u.life.Done():
	}
	return -1
}

// acknowledge asks the manager for what it does for the main process alone.
func (u *Upgrader) acknowledge(p *present) {
	u.sockets.discard(predecessorMark)
	ctx, cancel := saying(u.life)
	defer cancel()
	if err := u.notifier.Remove(ctx, successorMark); err != nil {
		u.log.Warn("manager cannot be told", "error", err)
		return
	}
	u.tellPredecessor(p, handover.Acknowledged{})
}
