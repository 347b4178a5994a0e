package reexec

import (
	"context"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/internal/fault"
	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lifecycle"
	"github.com/cutover-go/cutover/reexec/internal/program"
)

// startSuccessor starts the program, and a goroutine that hands over the sockets and reads the
// line.
func (u *Upgrader) startSuccessor(next program.Command) (*generation.Successor, error) {
	if err := u.checkParent(); err != nil {
		return nil, err
	}
	s, err := generation.Start(next, u.siblings(), u.launch.environ.Lookup)
	if err != nil {
		return nil, err
	}
	if u.siblings() {
		s.PrepareMarks(u.tasks.life, u.tasks.Go, u.prove)
	}
	u.tasks.Go(func() { // ends with the process or dropSuccessor
		post := u.loop.ofSuccessor(s)
		if err := u.introduce(s); err != nil {
			post(generation.Event{Kind: lifecycle.EvFailed, Err: s.Explain(err)})
			s.AwaitEnd(post, u.supervised())
			return
		}
		fault.At(fault.SocketsAcknowledged)
		s.Listen(post, u.supervised())
	})
	return s, nil
}

// introduce hands over every socket and exchanges greetings.
func (u *Upgrader) introduce(s *generation.Successor) error {
	ctx, cancel := context.WithCancel(u.tasks.life)
	defer cancel()
	var entries []handover.Entry
	var files []syscall.Conn
	var own []*fd.FD
	err := u.afford(func() (err error) {
		entries, files, own, err = u.sockets.HandOn()
		return err
	})
	if err != nil {
		return err
	}
	defer fd.CloseAll(own)
	fault.At(fault.SocketsDuplicated)
	ours := handover.Hello{PID: os.Getpid(), ParentPID: u.launch.parent, Generation: u.launch.generation, Trying: u.launch.inPlace}
	return s.Greet(ctx, ours, entries, files, u.siblings())
}
