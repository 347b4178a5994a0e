package generation

import (
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/proof"
)

// A Third is the generation that the successor commits. It lets a draining generation know its
// main process when its successor is killed during the commit. Before MAINPID= the successor
// sends the pidfd of the third generation and an end of its mark. If the successor then dies, the
// mark decides: the manager removes it when the third generation asks, and obeys only the main
// process.
type Third struct {
	process *fd.Process
	mark    *proof.Mark // nil if the manager does not have the marks
}

// Third returns the message that introduces the successor to our predecessor, before MAINPID=.
// The caller closes its descriptors. marks is nil if the manager does not have them.
func (s *Successor) Third(marks *proof.Marks) (handover.Third, error) {
	pidfd, err := s.Process.Dup()
	if err != nil {
		return handover.Third{}, err
	}
	m := handover.Third{PID: s.Process.PID, FDs: []*fd.FD{pidfd}}
	if marks == nil {
		return m, nil
	}
	mark, err := marks.DupSuccessor()
	if err != nil {
		_ = pidfd.Close() // of no use alone
		return handover.Third{}, err
	}
	m.FDs = append(m.FDs, mark)
	return m, nil
}

// WatchThird watches the process of m, and its mark, until Drop. It posts EvThirdMain if the
// manager removes the mark, and EvThirdGone if the process ends. run runs a function on a
// goroutine, which ends then. WatchThird consumes the descriptors of m.
func WatchThird(m handover.Third, run func(func()), post func(*Third, lifecycle.Event)) (*Third, error) {
	t, err := adoptThird(m)
	if err != nil {
		return nil, err
	}
	var removed <-chan struct{}
	if t.mark != nil {
		removed = t.mark.Gone()
		run(t.mark.Wait)
	}
	run(func() {
		select {
		case <-removed:
			post(t, lifecycle.EvThirdMain)
		case <-t.process.Over():
			if t.process.Dead() {
				post(t, lifecycle.EvThirdGone)
			}
		}
	})
	return t, nil
}

func adoptThird(m handover.Third) (*Third, error) {
	process, err := fd.Watch(m.PID, m.FDs[0])
	if err != nil || len(m.FDs) == 1 {
		fd.CloseAll(m.FDs[1:])
		return &Third{process: process}, err
	}
	conn, err := m.FDs[1].Conn()
	fd.CloseAll(m.FDs[2:])
	if err != nil {
		_ = process.Close() // only the watch ends
		return nil, err
	}
	return &Third{process, proof.NewMark(conn)}, nil
}

// Lives reports whether the process has not ended. It is false for nil.
func (t *Third) Lives() bool { return t != nil && !t.process.Dead() }

// Drop ends the watch. It does nothing for nil.
func (t *Third) Drop() {
	if t == nil {
		return
	}
	_ = t.process.Close() // only the watch ends
	if t.mark != nil {
		t.mark.Close()
	}
}
