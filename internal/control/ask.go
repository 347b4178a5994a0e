package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// Ask sends r to the process that listens at address and waits for its answer
// until ctx ends. If pid is not 0, that process must be the one which listens.
func Ask(ctx context.Context, address string, pid int, r Request) (Answer, error) {
	uc, err := find(ctx, address, pid)
	if err != nil {
		return Answer{}, err
	}
	defer uc.Close()
	defer context.AfterFunc(ctx, func() { _ = uc.SetDeadline(time.Unix(1, 0)) })()
	r.Version = 1
	a, err := exchange(uc, r)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Answer{}, fmt.Errorf("no answer from the main process: %w", err)
	}
	return a, nil
}

// exchange sends r and reads the answer. A listener that refuses us answers first
// and hangs up on the request, which the kernel reports before that answer.
func exchange(c *net.UnixConn, r Request) (a Answer, err error) {
	sent := write(c, r)
	err = read(c, maxReceived, &a)
	if errors.Is(err, syscall.ECONNRESET) {
		err = read(c, maxReceived, &a)
	}
	if err != nil && sent != nil {
		err = sent
	}
	return a, err
}

// find connects to the process pid. Where another service has the name at address,
// the process listens beside it, see Publish.
func find(ctx context.Context, address string, pid int) (*net.UnixConn, error) {
	uc, err := connect(ctx, address, pid)
	if err == nil || pid == 0 || strings.HasPrefix(address, "@") {
		return uc, err
	}
	if beside, second := connect(ctx, unpublished(address, pid), pid); second == nil {
		return beside, nil
	}
	return nil, err
}

func connect(ctx context.Context, address string, pid int) (*net.UnixConn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", address)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the main process does not answer: %w (systemd removes the runtime directory when a unit stops: does another unit have the same RuntimeDirectory=?)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("the main process does not answer: %w", err)
	}
	uc := conn.(*net.UnixConn)
	if err := expect(uc, address, pid); err != nil {
		_ = uc.Close() // nothing was said
		return nil, err
	}
	return uc, nil
}

// expect refuses a listener that is not the process we mean to talk to: a squatter on
// the name could otherwise make a reload look good.
func expect(c *net.UnixConn, address string, pid int) error {
	peer, err := fd.PeerOf(c)
	if err != nil {
		return err
	}
	// A peer in another pid namespace has no number here (PrivatePIDs= gives the reload
	// command a namespace): then its user decides.
	if pid != 0 && peer.PID != 0 && peer.PID != pid {
		return fmt.Errorf("control socket belongs to process %d, the main process is %d", peer.PID, pid)
	}
	me := os.Geteuid()
	switch {
	case me == 0 && pid != 0 && peer.PID == pid: // it is the main process, whatever its user
	case peer.UID == 0 || peer.UID == me:
	case me == 0 && ownsDirectory(peer.UID, address):
	default:
		return fmt.Errorf("control socket belongs to user %d, neither root nor ours (%d)", peer.UID, me)
	}
	return nil
}

// ownsDirectory reports whether address lies in a directory of the user uid, as the
// runtime directory of a service is its user's.
func ownsDirectory(uid int, address string) bool {
	if strings.HasPrefix(address, "@") {
		return false
	}
	info, err := os.Stat(filepath.Dir(address))
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == uid
}
