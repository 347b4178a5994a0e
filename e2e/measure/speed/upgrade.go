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

// idle is the number of connections that drains moves.
const idle = 1000

// drains measures the drain of idle connections in a second upgrade, in which none has said
// anything since the first, beside the first.
func (b *bench) drains(ctx context.Context) error {
	if err := errors.Join(adopt(), raiseLimit(3*idle)); err != nil {
		return err
	}
	var first, second []float64
	for range max(1, b.rounds/2) {
		one, two, err := b.drain(ctx)
		if err != nil {
			return err
		}
		first, second = append(first, one), append(second, two)
	}
	b.compare("drain of 1,000 idle connections, second upgrade / first", "ms", second, first)
	return nil
}

func (b *bench) drain(ctx context.Context) (first, second float64, err error) {
	s, err := b.start(ctx, "-mode", "http")
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	for range idle {
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
