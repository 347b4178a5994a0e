package reexec

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/storename"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// This file finds out whether the manager took MAINPID=. The manager answers no notification,
// and a barrier shows only that it has read one. But it obeys FDSTOREREMOVE=1 only from an
// authorised process, under NotifyAccess=main the main process, and closes the descriptor.
//
// So the predecessor stores two marks, each one end of a socket pair. After MAINPID= the
// successor asks for the removal of the first mark. If that has no effect, the predecessor
// asks for the removal of the second. The mark that hangs up shows which process is the main
// one.
//
// No process has to remove the entries: the manager drops an entry when the process with the
// other end closes it or dies.

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

// prove stores the marks. It returns nil if the manager does not hold both, for example because
// the fd store is full.
func (u *Upgrader) prove(ctx context.Context) *proof {
	p := &proof{}
	var err error
	if p.successor, err = u.storeMark(ctx, storename.SuccessorMark); err == nil {
		p.predecessor, err = u.storeMark(ctx, storename.PredecessorMark)
	}
	if err == nil {
		err = u.barrier(ctx)
	}
	if err == nil {
		err = p.held()
	}
	if err != nil {
		p.close()
		u.log.Debug("no proof of MAINPID= is possible, so the barrier decides", "error", err)
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
	u.tasks.Go(m.wait) // ends when either end of the pair is closed
	if err := u.manager.notifier.Store(ctx, name, theirs); err != nil {
		_ = conn.Close() // never used
		return nil, err
	}
	return m, nil
}

// wait closes gone when the manager closes the other end. No process writes to the pair.
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

// close closes our ends, so that the manager drops the marks. A nil proof has no marks.
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

// verdict is the result of MAINPID=.
type verdict string

const (
	unknown verdict = "unknown" // the successor died or does not answer, or there is no proof
	taken   verdict = "taken"
	refused verdict = "refused"
)

// readMarks waits until it is certain which process the manager takes for the main one. The
// successor was sent Acknowledge, on which it asks for the removal of its mark.
func (u *Upgrader) readMarks(p *proof, s *successor) verdict {
	if p == nil {
		return unknown
	}
	switch u.first(s, timeout.Confirm, p.successor.gone, s.acknowledged) {
	case 0:
		return taken
	case -1:
		return unknown
	}
	// The manager may close a descriptor some time after it has removed the entry.
	if u.first(s, hangupGrace, p.successor.gone, nil) == 0 {
		return taken
	}
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	if err := u.manager.notifier.Remove(ctx, storename.PredecessorMark); err != nil {
		return unknown
	}
	switch u.first(s, timeout.Confirm, p.successor.gone, p.predecessor.gone) {
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

// first returns 0 if a is closed first, and 1 if b is. It returns -1 if limit is over, s has
// ended or the Upgrader is closed.
func (u *Upgrader) first(s *successor, limit time.Duration, a, b <-chan struct{}) int {
	select {
	case <-a:
		return 0
	case <-b:
		return 1
	case <-time.After(limit):
	case <-s.process.Over():
	case <-u.tasks.life.Done():
	}
	return -1
}

// acknowledge asks the manager to remove the successor's mark, which the manager does only for
// the main process. Then it sends Acknowledged to the predecessor.
func (u *Upgrader) acknowledge(p *loopState) {
	u.sockets.discard(storename.PredecessorMark)
	ctx, cancel := timeout.Message(u.tasks.life)
	defer cancel()
	if err := u.manager.notifier.Remove(ctx, storename.SuccessorMark); err != nil {
		u.log.Warn("removal of the mark is not sent to the manager", "error", err)
		return
	}
	u.tellPredecessor(p, handover.Acknowledged{})
}
