package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
)

// Ask sends r to the process that listens at address and waits for its answer
// until ctx ends. If pid is not 0, that process must be the one which listens.
func Ask(ctx context.Context, address string, pid int, r Request) (Answer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixpacket", address)
	if err != nil {
		return Answer{}, fmt.Errorf("the main process does not answer: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	uc := conn.(*net.UnixConn)
	if err := expect(uc, pid); err != nil {
		return Answer{}, err
	}
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

// expect refuses a listener that is not the process we mean to talk to: whoever
// squats on the name could otherwise make a reload look good.
func expect(c *net.UnixConn, pid int) error {
	peer, err := fd.PeerOf(c)
	if err != nil {
		return err
	}
	// A peer in another pid namespace has no number here (PrivatePIDs= gives the reload
	// command one of its own): its user has to do.
	if pid != 0 && peer.PID != 0 && peer.PID != pid {
		return fmt.Errorf("control socket belongs to process %d, the main process is %d", peer.PID, pid)
	}
	if me := os.Geteuid(); me != 0 && peer.UID != 0 && peer.UID != me {
		return fmt.Errorf("control socket belongs to user %d, neither root nor ours (%d)", peer.UID, me)
	}
	return nil
}
