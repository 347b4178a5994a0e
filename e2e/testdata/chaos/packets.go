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

// answerPackets has several readers, each of which takes a while for its answer before
// it reads again. It returns when this generation has drained.
func answerPackets(ctx context.Context, u *reexec.Upgrader, c net.PacketConn, l *ledger) error {
	if err := u.Ready(ctx); err != nil {
		return err
	}
	for range 12 {
		go readPackets(u, c, l) // ends with the socket
	}
	return errors.Join(u.Drain(ctx), c.Close())
}

// slowPacket is longer than anything else takes in an upgrade: no other work keeps the
// process until the answer.
const slowPacket = 4 * time.Second

func readPackets(u *reexec.Upgrader, c net.PacketConn, l *ledger) {
	buf := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		id := strings.TrimSpace(string(buf[:n]))
		l.note(id)
		if strings.Contains(id, "slow") {
			time.Sleep(slowPacket)
		}
		_, _ = c.WriteTo(fmt.Appendf(nil, "generation=%d pid=%d id=%s", u.Generation(), os.Getpid(), id), from) // the client misses it
	}
}
