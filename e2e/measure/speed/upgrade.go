package speed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// spawns measures the time from the begin of an upgrade until the successor accepts, beside
// the start of the same program that only says hello.
func (b *bench) spawns(ctx context.Context) error {
	if err := adopt(); err != nil {
		return err
	}
	for _, n := range []int{4, 400, 4000} {
		if err := raiseLimit(uint64(3*n + 1000)); err != nil {
			b.absent = append(b.absent, fmt.Sprintf("upgrade with %d listeners: %v", n, err))
			continue
		}
		s, err := b.start(ctx, "-mode", "sockets", "-n", strconv.Itoa(n))
		if err != nil {
			return err
		}
		var ours, bare []float64
		for range b.rounds {
			began := time.Now()
			if _, err := exec.CommandContext(ctx, b.path("speed"), "-mode", "hello").Output(); err != nil {
				return err
			}
			spawned := float64(time.Since(began).Microseconds()) / 1000
			switched, _, err := s.do("upgrade")
			if err != nil {
				return err
			}
			ours, bare = append(ours, switched), append(bare, spawned)
		}
		b.compare(fmt.Sprintf("upgrade with %d listeners, spawn to switched / bare spawn", n), "ms", ours, bare)
		if err := s.stop(); err != nil {
			return err
		}
	}
	return nil
}

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
