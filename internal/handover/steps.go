package handover

import (
	"context"
	"fmt"

	"github.com/cutover-go/cutover/internal/fd"
)

// Greet sends our Hello, reads the other side's, and returns it with the version
// that both speak.
func (c *Conn) Greet(ctx context.Context, ours Hello) (theirs Hello, version int, err error) {
	ours.MinVersion, ours.MaxVersion = MinVersion, MaxVersion
	sent := c.Send(ctx, ours)
	m, err := c.Receive(ctx) // also if it has ended: it may have said why
	switch {
	case sent != nil && err != nil:
		return Hello{}, 0, fmt.Errorf("send hello: %w", sent)
	case err != nil:
		return Hello{}, 0, fmt.Errorf("receive hello: %w", err)
	}
	theirs, ok := m.(Hello)
	if !ok {
		return Hello{}, 0, unexpected(m, "Hello")
	}
	version, err = common(ours, theirs)
	return theirs, version, err
}

// common returns the highest version that both sides speak.
func common(a, b Hello) (int, error) {
	v := min(a.MaxVersion, b.MaxVersion)
	if v < max(a.MinVersion, b.MinVersion) {
		return 0, fmt.Errorf("%w: one program speaks versions %d to %d, the other %d to %d",
			ErrProtocol, a.MinVersion, a.MaxVersion, b.MinVersion, b.MaxVersion)
	}
	return v, nil
}

// SendDescriptors sends fds, described by entries, in batches, each of which the
// other side acknowledges: so no more than one is ever in flight, and a large set
// does not run into RLIMIT_NOFILE, which bounds those too (unix(7), ETOOMANYREFS).
// The FDs stay the caller's.
func (c *Conn) SendDescriptors(ctx context.Context, entries []Entry, fds []*fd.FD) error {
	for first := 0; ; {
		n := min(len(fds)-first, fd.MaxRights)
		end := first + n
		batch := Descriptors{Entries: entries[first:end], FDs: fds[first:end], Last: end == len(fds)}
		if err := c.Send(ctx, batch); err != nil {
			return fmt.Errorf("send descriptors: %w", err)
		}
		m, err := c.Receive(ctx)
		if err != nil {
			return fmt.Errorf("descriptors not acknowledged: %w", err)
		}
		if _, ok := m.(Received); !ok {
			return unexpected(m, "Received")
		}
		if batch.Last {
			return nil
		}
		first = end
	}
}

// ReceiveDescriptors reads what SendDescriptors sends. The caller owns the FDs;
// on error there are none.
func (c *Conn) ReceiveDescriptors(ctx context.Context) (entries []Entry, fds []*fd.FD, err error) {
	for {
		m, err := c.Receive(ctx)
		batch, ok := m.(Descriptors)
		switch {
		case err != nil:
			err = fmt.Errorf("receive descriptors: %w", err)
		case !ok:
			err = unexpected(m, "Descriptors")
		default:
			entries, fds = append(entries, batch.Entries...), append(fds, batch.FDs...)
			err = c.Send(ctx, Received{})
		}
		if err != nil {
			fd.CloseAll(fds)
			return nil, nil, err
		}
		if batch.Last {
			return entries, fds, nil
		}
	}
}

// SendStates sends all, in as many messages as it needs. The FDs stay the caller's.
func (c *Conn) SendStates(ctx context.Context, all States) error {
	for {
		n := min(len(all.FDs), fd.MaxRights)
		part := States{Names: all.Names[:n], Stored: all.Stored, FDs: all.FDs[:n]}
		if err := c.Send(ctx, part); err != nil {
			return fmt.Errorf("send state: %w", err)
		}
		all.Names, all.FDs = all.Names[n:], all.FDs[n:]
		if len(all.FDs) == 0 {
			return nil
		}
	}
}

// unexpected reports a message out of turn, which it uses up; a Failed one
// carries its own reason.
func unexpected(m Message, want string) error {
	fd.CloseAll(descriptorsOf(m))
	if f, ok := m.(Failed); ok {
		return fmt.Errorf("the other side failed: %s", f.Reason)
	}
	return fmt.Errorf("%w: got %T instead of %s", ErrProtocol, m, want)
}
