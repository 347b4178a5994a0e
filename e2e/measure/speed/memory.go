package speed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// parked is the number of idle connections whose memory is measured.
const parked = 10000

// memory measures the memory of a server for idle connections that have sent a request each.
func (b *bench) memory(ctx context.Context) error {
	if err := errors.Join(adopt(), raiseLimit(parked+1000)); err != nil {
		b.absent = append(b.absent, fmt.Sprintf("memory of %d connections: %v", parked, err))
		return nil
	}
	var grown [2]float64
	for i, args := range [][]string{{"-mode", "http"}, {"-mode", "http", "-bare"}} {
		s, err := b.start(ctx, args...)
		if err != nil {
			return err
		}
		grown[i], err = s.memoryOf(parked)
		if err := errors.Join(err, s.stop()); err != nil {
			return err
		}
	}
	b.rows = append(b.rows, row{figure: "HTTP/1, memory of 10,000 idle connections / bare", unit: "MiB",
		ours: grown[0], baseline: grown[1], ratio: grown[0] / grown[1]})
	return nil
}

// memoryOf returns by how many MiB the server grows with n connections.
func (s *server) memoryOf(n int) (float64, error) {
	before, err := s.resident()
	if err != nil {
		return 0, err
	}
	for range n {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return 0, err
		}
		defer c.Close()
		if err := ask(c, bufio.NewReader(c)); err != nil {
			return 0, err
		}
	}
	after, err := s.resident()
	return float64(after-before) / 1024, err
}

// resident returns the memory of the first generation in KiB (proc_pid_status(5), VmRSS).
func (s *server) resident() (kib int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	_, err = fmt.Sscan(rest, &kib)
	return kib, err
}
