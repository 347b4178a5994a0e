package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// answerPackets answers each datagram, and takes a while for it beside the reading of
// the next one. It returns when this generation has drained.
func answerPackets(ctx context.Context, u *reexec.Upgrader, c net.PacketConn, l *ledger) error {
	if err := u.Ready(ctx); err != nil {
		return err
	}
	go func() { // ends with the socket
		for {
			b := make([]byte, 512)
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			release := u.Hold()
			go func() { // ends by itself; Drain waits for the release
				defer release()
				id := strings.TrimSpace(string(b[:n]))
				l.note(id)
				time.Sleep(5 * time.Millisecond)
				_, _ = c.WriteTo(fmt.Appendf(nil, "generation=%d pid=%d id=%s", u.Generation(), os.Getpid(), id), from) // the client misses it
			}()
		}
	}()
	return errors.Join(u.Drain(ctx), c.Close())
}
