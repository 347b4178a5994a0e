package speed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"golang.org/x/sys/unix"
)

// drains measures the drain of idle connections in a second upgrade, in which none has sent
// anything since the first, beside the first.
func (b *bench) drains(ctx context.Context) error {
	if err := adopt(); err != nil {
		return err
	}
	for _, n := range b.idles {
		if err := raiseLimit(uint64(n + 1000)); err != nil {
			b.absent = append(b.absent, fmt.Sprintf("drain of %d connections: %v", n, err))
			continue
		}
		var first, second []float64
		for range max(1, b.rounds/2) {
			one, two, err := b.drain(ctx, n)
			if err != nil {
				return err
			}
			first, second = append(first, one), append(second, two)
		}
		b.compare(fmt.Sprintf("drain of %d idle connections, second upgrade / first", n), "ms", second, first)
	}
	return nil
}

// drain returns the times from the switch to the end of the drain with n idle connections.
func (b *bench) drain(ctx context.Context, n int) (first, second float64, err error) {
	s, err := b.start(ctx, "-mode", "http")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	for range n {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			return 0, 0, err
		}
		defer c.Close()
		if err := ask(c, bufio.NewReaderSize(c, 512)); err != nil {
			return 0, 0, err
		}
	}
	if _, first, err = s.do("upgrade"); err == nil {
		_, second, err = s.do("upgrade")
	}
	return first, second, err
}

// ask sends a request and reads the answer.
func ask(c net.Conn, br *bufio.Reader) error {
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
		return err
	}
	r, err := http.ReadResponse(br, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", r.Status)
	}
	return nil
}

// adopt makes this process the parent of generations whose own has ended.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// raiseLimit lets this process, and those that it starts, have n descriptors.
func raiseLimit(n uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur, l.Max = max(l.Cur, n), max(l.Max, n)
	return unix.Setrlimit(unix.RLIMIT_NOFILE, &l)
}
