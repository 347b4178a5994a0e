package handover

import (
	"context"
	"fmt"
	"syscall"

	"github.com/cutover-go/cutover/internal/fd"
)

// Greet sends ours, reads the Hello of the other side, and returns it with the highest
// version that both sides speak.
func (c *Conn) Greet(ctx context.Context, ours Hello) (theirs Hello, version int, err error) {
	ours.MinVersion, ours.MaxVersion = MinVersion, MaxVersion
	return c.meet(ctx, ours, c.Send(ctx, ours))
}

// GreetWith is Greet of the predecessor. The first batch of descriptors follows Hello at
// once, so both wait in the line while the successor starts. The caller sends the other
// batches with Finish.
func (c *Conn) GreetWith(ctx context.Context, ours Hello, entries []Entry, files []syscall.Conn) (theirs Hello, rest *Delivery, err error) {
	ours.MinVersion, ours.MaxVersion = MinVersion, MaxVersion
	rest = &Delivery{line: c, entries: entries, files: files}
	sent := c.Send(ctx, ours)
	if sent == nil {
		sent = rest.send(ctx)
	}
	theirs, _, err = c.meet(ctx, ours, sent)
	if err == nil {
		err = sent
	}
	return theirs, rest, err
}

// meet reads the Hello of the other side. sent is the error of sending ours.
func (c *Conn) meet(ctx context.Context, ours Hello, sent error) (theirs Hello, version int, err error) {
	m, err := c.Receive(ctx) // also after an error: the other side may have sent Failed before it ended
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

// SendDescriptors sends the descriptors of files, described by entries, in batches.
func (c *Conn) SendDescriptors(ctx context.Context, entries []Entry, files []syscall.Conn) error {
	d := &Delivery{line: c, entries: entries, files: files}
	if err := d.send(ctx); err != nil {
		return err
	}
	return d.Finish(ctx)
}

// A Delivery sends the descriptors of files, described by entries, in batches. The other
// side acknowledges each batch, so at most one batch is in flight. RLIMIT_NOFILE bounds
// the descriptors in flight (unix(7), ETOOMANYREFS), so a large set in flight would fail.
// The caller keeps the files, and none is duplicated. A closed file is left out.
type Delivery struct {
	line    *Conn
	entries []Entry
	files   []syscall.Conn
	last    bool // the last batch was sent
}

// Finish waits for the acknowledgement of the first batch, and sends the others.
func (d *Delivery) Finish(ctx context.Context) error {
	for {
		m, err := d.line.Receive(ctx)
		if err != nil {
			return fmt.Errorf("descriptors not acknowledged: %w", err)
		}
		if _, ok := m.(Received); !ok {
			return unexpected(m, "Received")
		}
		if d.last {
			return nil
		}
		if err := d.send(ctx); err != nil {
			return err
		}
	}
}

// send sends the next batch.
func (d *Delivery) send(ctx context.Context) error {
	n := fitting(d.entries, fd.MaxRights)
	d.last = n == len(d.entries)
	if err := d.line.sendBatch(ctx, d.entries[:n], d.files[:n], d.last); err != nil {
		return fmt.Errorf("send descriptors: %w", err)
	}
	d.entries, d.files = d.entries[n:], d.files[n:]
	return nil
}

func (c *Conn) sendBatch(ctx context.Context, entries []Entry, files []syscall.Conn, last bool) (err error) {
	fd.Borrow(files, func(fds []*fd.FD) {
		batch := Descriptors{Last: last}
		for i, f := range fds {
			if f != nil {
				batch.Entries, batch.FDs = append(batch.Entries, entries[i]), append(batch.FDs, f)
			}
		}
		err = c.Send(ctx, batch)
	})
	return err
}

// ReceiveDescriptors reads the batches of SendDescriptors. The caller owns fds, which is
// nil on error.
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

// SendStates sends all, in as many messages as necessary, none if there is no state. The caller
// keeps the FDs. The names of the fd store are sent last, because an older receiver uses only
// the names of the last message.
func (c *Conn) SendStates(ctx context.Context, all States) error {
	if len(all.Names)+len(all.Stored) == 0 {
		return nil
	}
	if all.size() <= MaxPart && len(all.FDs) <= fd.MaxRights {
		return c.sendState(ctx, all)
	}
	for len(all.FDs) > 0 {
		n := fitting(all.Names, fd.MaxRights)
		if err := c.sendState(ctx, States{Names: all.Names[:n], FDs: all.FDs[:n]}); err != nil {
			return err
		}
		all.Names, all.FDs = all.Names[n:], all.FDs[n:]
	}
	for len(all.Stored) > 0 {
		n := fitting(all.Stored, len(all.Stored))
		if err := c.sendState(ctx, States{Stored: all.Stored[:n]}); err != nil {
			return err
		}
		all.Stored = all.Stored[n:]
	}
	return nil
}

// size returns the number of bytes of the lists of s in a frame.
func (s States) size() int { return jsonSize(s.Names) + jsonSize(s.Stored) }

func (c *Conn) sendState(ctx context.Context, s States) error {
	if err := c.Send(ctx, s); err != nil {
		return fmt.Errorf("send state: %w", err)
	}
	return nil
}

// SendForgotten sends entries, in as many messages as necessary.
func (c *Conn) SendForgotten(ctx context.Context, entries []Entry) error {
	for len(entries) > 0 {
		n := fitting(entries, len(entries))
		if err := c.Send(ctx, Forgotten{entries[:n]}); err != nil {
			return fmt.Errorf("send forgotten files: %w", err)
		}
		entries = entries[n:]
	}
	return nil
}

// unexpected closes the descriptors of m and returns the error for a message out of
// turn. The error for a Failed message contains its reason.
func unexpected(m Message, want string) error {
	Discard(m)
	if f, ok := m.(Failed); ok {
		return fmt.Errorf("the other side failed: %s", f.Reason)
	}
	return fmt.Errorf("%w: got %T instead of %s", ErrProtocol, m, want)
}
