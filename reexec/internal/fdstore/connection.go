package fdstore

import (
	"context"
	"errors"
	"syscall"

	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/storename"
	"github.com/cutover-go/cutover/reexec/internal/timeout"
)

// Connection puts the connection c, which is file, into the store. It returns an error if the
// store is not known to have room, because the manager drops a connection without room and
// reports no error.
func (s *Store) Connection(ctx context.Context, c handover.Connection, file syscall.Conn) error {
	if s.Sockets.Keeps(file) {
		return errors.New("the connection is kept: the fd store has it, and the next process claims it")
	}
	if err := s.removeMarks(ctx); err != nil {
		return err
	}
	const both = 2 // the connection and its data
	if s.connections+both > s.Notifier.StoreMax()-s.Sockets.Own()-s.States.Room() {
		return errors.New("the fd store has no room for the connection: raise FileDescriptorStoreMax= of the unit")
	}
	ctx, cancel := timeout.Message(ctx)
	defer cancel()
	name := storename.Connection{Format: c.Format, Name: c.Name}
	if len(c.Data) > 0 {
		name.Sequence = s.connections + 1 // the same number in the name of the data
		data, err := notify.Memfd("data", c.Data)
		if err != nil {
			return err
		}
		defer data.Close()
		if err := s.Notifier.Store(ctx, name.Data(), data); err != nil {
			return err
		}
		s.connections++
	}
	s.connections++
	return s.Notifier.Store(ctx, name.String(), file)
}
