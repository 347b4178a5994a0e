// Package proof finds out whether the manager took MAINPID=. The manager answers no notification,
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
package proof

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/storename"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// ErrNoRoom says that the manager does not hold both marks.
var ErrNoRoom = errors.New("the fd store has no room for two more entries (FileDescriptorStoreMax=)")

// Marks is the predecessor's side of both marks.
type Marks struct {
	successor   *Mark
	predecessor *Mark
}

// Mark is our end of one pair. The fd store has the other end.
type Mark struct {
	conn net.Conn
	gone chan struct{} // closed when the manager has closed its end
}

// NewMark returns a Mark with conn as our end. Wait must be called on a goroutine.
func NewMark(conn net.Conn) *Mark { return &Mark{conn, make(chan struct{})} }

// Store stores the marks. It returns ErrNoRoom if the manager does not hold both then. barrier waits until the manager has read all messages. run
// runs a function on a goroutine, which ends with the marks.
func Store(ctx context.Context, n *notify.Notifier, barrier func(context.Context) error, run func(func())) (*Marks, error) {
	m := &Marks{}
	var err error
	if m.successor, err = storeMark(ctx, n, storename.SuccessorMark, run); err == nil {
		m.predecessor, err = storeMark(ctx, n, storename.PredecessorMark, run)
	}
	if err == nil {
		err = barrier(ctx)
	}
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func storeMark(ctx context.Context, n *notify.Notifier, name string, run func(func())) (*Mark, error) {
	ours, theirs, err := fd.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	conn, err := ours.Conn()
	if err != nil {
		return nil, err
	}
	m := NewMark(conn)
	run(m.Wait) // ends when either end of the pair is closed
	if err := n.Store(ctx, name, theirs); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Wait closes Gone when the manager closes the other end. It returns then, or after Close. No
// process writes to the pair.
func (m *Mark) Wait() {
	if _, err := m.conn.Read(make([]byte, 1)); err == io.EOF {
		close(m.gone)
	}
}

// Gone returns a channel that is closed when the manager has closed its end.
func (m *Mark) Gone() <-chan struct{} { return m.gone }

// Close closes our end.
func (m *Mark) Close() { _ = m.conn.Close() } // nothing was written

// Check returns ErrNoRoom if the manager does not hold both marks.
func (m *Marks) Check() error {
	for _, m := range []*Mark{m.successor, m.predecessor} {
		gone, err := fd.HungUp(m.conn.(*net.UnixConn))
		if err != nil {
			return err
		}
		if gone {
			return ErrNoRoom
		}
	}
	return nil
}

// DupSuccessor returns a duplicate of our end of the successor's mark.
func (m *Marks) DupSuccessor() (*fd.FD, error) { return fd.DupOf(m.successor.conn.(*net.UnixConn)) }

// Close closes our ends, so that the manager drops the marks. A nil Marks has none.
func (m *Marks) Close() {
	if m == nil {
		return
	}
	for _, m := range []*Mark{m.successor, m.predecessor} {
		if m != nil {
			m.Close()
		}
	}
}

// OfMain tells whether the manager takes this process for the main one. The manager stores no mark
// of another process, but closes it. It does so as well without room, so the caller must know that
// the store has room. With NotifyAccess=all the manager stores a mark of each process of the unit, and
// the verdict is Obeyed. The end of ctx makes it Unknown. The parameters are those of Store.
func OfMain(ctx context.Context, n *notify.Notifier, barrier func(context.Context) error, run func(func())) Verdict {
	m, err := storeMark(ctx, n, storename.SuccessorMark, run)
	if err != nil {
		return Unknown
	}
	defer m.Close()
	if err := barrier(ctx); err != nil {
		return Unknown
	}
	switch gone, err := fd.HungUp(m.conn.(*net.UnixConn)); {
	case err != nil:
		return Unknown
	case gone:
		return Refused
	}
	return Obeyed
}

// Verdict is the result of MAINPID=.
type Verdict string

// The verdicts.
const (
	Unknown Verdict = "unknown" // the successor died or does not answer, or there are no marks
	Obeyed  Verdict = "obeyed"
	Refused Verdict = "refused"
)

// Successor is the process that MAINPID= names.
type Successor struct {
	Acknowledged <-chan struct{} // closed when it has asked for the removal of its mark
	Over         <-chan struct{} // closed when it has ended
}

// hangupGrace is the time in which the manager closes the descriptor of an entry that it has
// removed.
const hangupGrace = time.Second

// Read waits until it is certain which process the manager takes for the main one. The
// successor was sent Acknowledge, on which it asks for the removal of its mark. The end of
// ctx ends Read.
func (m *Marks) Read(ctx context.Context, n *notify.Notifier, s Successor) Verdict {
	if m == nil {
		return Unknown
	}
	switch s.first(ctx, timeout.Confirm, m.successor.gone, s.Acknowledged) {
	case 0:
		return Obeyed
	case -1:
		return Unknown
	}
	// The manager may close a descriptor some time after it has removed the entry.
	if s.first(ctx, hangupGrace, m.successor.gone, nil) == 0 {
		return Obeyed
	}
	short, cancel := timeout.Message(ctx)
	defer cancel()
	if err := n.Remove(short, storename.PredecessorMark); err != nil {
		return Unknown
	}
	switch s.first(ctx, timeout.Confirm, m.successor.gone, m.predecessor.gone) {
	case 0:
		return Obeyed
	case -1:
		return Unknown
	}
	// With NotifyAccess=all the manager obeys both, and may close them in any order.
	if s.first(ctx, hangupGrace, m.successor.gone, nil) == 0 {
		return Obeyed
	}
	return Refused
}

// first returns 0 if a is closed first, and 1 if b is. It returns -1 if limit is over, s has
// ended or ctx has.
func (s Successor) first(ctx context.Context, limit time.Duration, a, b <-chan struct{}) int {
	select {
	case <-a:
		return 0
	case <-b:
		return 1
	case <-time.After(limit):
	case <-s.Over:
	case <-ctx.Done():
	}
	return -1
}
