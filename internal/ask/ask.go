package ask

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd/seqpacket"
)

// Process sends r to the process that listens at address. It waits for the answer until ctx
// ends. If pid is not 0, Process refuses a listener that is another process.
//
// The strings in the answer are those of another program: control characters in them are
// escaped, except for line breaks.
func Process(ctx context.Context, address string, pid int, r Request) (Answer, error) {
	c, err := find(address, pid)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })() // fails on a closed file only
	r.Version = 1
	a, err := exchange(c, r)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Answer{}, fmt.Errorf("no answer from the main process: %w", err)
	}
	a.Error, a.State, a.NotStored = printable(a.Error), printable(a.State), printable(a.NotStored)
	a.Phase = printable(a.Phase)
	a.Detail.printable()
	return a, nil
}

// exchange sends r and reads the answer. A listener that refuses this process answers
// and hangs up without reading the request. The kernel reports that as ECONNRESET first,
// and the answer can be read after it.
func exchange(c *os.File, r Request) (a Answer, err error) {
	sent := Send(c, r)
	err = Receive(c, maxReceived, &a)
	if errors.Is(err, syscall.ECONNRESET) {
		err = Receive(c, maxReceived, &a)
	}
	if err != nil && sent != nil {
		err = sent
	}
	return a, err
}

// find connects to the process pid. If another service has the name at address, the
// process pid listens at its unpublished name.
func find(address string, pid int) (*os.File, error) {
	c, err := connect(address, pid)
	if err == nil || pid == 0 || strings.HasPrefix(address, "@") {
		return c, err
	}
	if beside, second := connect(Unpublished(address, pid), pid); second == nil {
		return beside, nil
	}
	return nil, err
}

func connect(address string, pid int) (*os.File, error) {
	c, peer, err := seqpacket.Dial(address)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the main process does not answer: %w (systemd removes the runtime directory when a unit stops: does another unit have the same RuntimeDirectory=?)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("the main process does not answer: %w", err)
	}
	if err := expect(peer, address, pid); err != nil {
		_ = c.Close() // nothing was sent
		return nil, err
	}
	return c, nil
}

// expect returns an error if the listener is not the process pid of a trusted user. A
// foreign process that has the name could otherwise report a successful reload.
func expect(peer seqpacket.Peer, address string, pid int) error {
	// A peer in another pid namespace has the pid 0 here, and its user decides
	// (PrivatePIDs= gives the reload command a namespace).
	if pid != 0 && peer.PID != 0 && peer.PID != pid {
		return fmt.Errorf("control socket belongs to process %d, the main process is %d", peer.PID, pid)
	}
	me := os.Geteuid()
	switch {
	case me == 0 && pid != 0 && peer.PID == pid: // root trusts the main process of any user
	case peer.UID == 0 || peer.UID == me:
	case me == 0 && ownsDirectory(peer.UID, address):
	default:
		return fmt.Errorf("control socket belongs to user %d, neither root nor ours (%d)", peer.UID, me)
	}
	return nil
}

// ownsDirectory reports whether address lies in a directory of the user uid. The runtime
// directory of a service belongs to its user.
func ownsDirectory(uid int, address string) bool {
	if strings.HasPrefix(address, "@") {
		return false
	}
	owner, err := seqpacket.OwnerOf(filepath.Dir(address))
	return err == nil && owner == uid
}
