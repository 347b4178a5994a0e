package speed

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// callsPerListener counts the system calls of one upgrade for each listener, in both
// processes: those that have a descriptor, because the number of others depends on the
// scheduler. strace counts runs with few and with many listeners, and with one upgrade and
// with two. The differences leave out the rest of the runs.
func (b *bench) callsPerListener(ctx context.Context, flip string) error {
	if _, err := exec.LookPath("strace"); err != nil {
		b.absent = append(b.absent, fmt.Sprintf("system calls: %v", err))
		return nil
	}
	ours, err := b.callsOf(ctx, func(n int) []string { return append([]string{b.path("speed")}, ofOurs(n)...) })
	if err != nil {
		return err
	}
	r := row{figure: "upgrade, system calls of both processes for each listener", ours: ours, baseline: math.NaN(), ratio: math.NaN()}
	if flip != "" {
		r.figure += " / tableflip"
		if r.baseline, err = b.callsOf(ctx, func(n int) []string { return ofTableflip(flip, n) }); err != nil {
			return fmt.Errorf("tableflip: %w", err)
		}
		r.ratio = r.ours / r.baseline
	}
	b.rows = append(b.rows, r)
	return nil
}

func (b *bench) callsOf(ctx context.Context, program func(listeners int) []string) (float64, error) {
	const few, lots = 4, 404
	var counts [2][2]int
	for i, n := range []int{few, lots} {
		for j := range 2 {
			count, _, err := b.count(ctx, program(n), upgrades(j+1))
			if err != nil {
				return 0, err
			}
			counts[i][j] = count
		}
	}
	return float64(counts[1][1]-counts[1][0]-counts[0][1]+counts[0][0]) / (lots - few), nil
}

// upgrades returns a function that has a server upgrade several times.
func upgrades(n int) func(*server) error {
	return func(s *server) error {
		for range n {
			if _, _, err := s.do("upgrade"); err != nil {
				return err
			}
		}
		return nil
	}
}

// callsPerDatagram counts the system calls of the UDP server for each datagram that a single
// client sends after the answer to the one before. Calls that fail do not count: whether a
// read finds the next datagram or has to wait for it depends on the scheduler.
func (b *bench) callsPerDatagram(ctx context.Context) error {
	if _, err := exec.LookPath("strace"); err != nil {
		b.absent = append(b.absent, fmt.Sprintf("system calls: %v", err))
		return nil
	}
	const few, lots = 100, 1100
	var calls [2]float64
	for i, args := range [][]string{{"-mode", "udp"}, {"-mode", "udp", "-bare"}} {
		var counts [2]int
		for j, n := range []int{few, lots} {
			all, failed, err := b.count(ctx, append([]string{b.path("speed")}, args...), datagrams(n))
			if err != nil {
				return err
			}
			counts[j] = all - failed
		}
		calls[i] = float64(counts[1]-counts[0]) / (lots - few)
	}
	b.rows = append(b.rows, row{figure: "UDP echo, system calls for each datagram / bare", ours: calls[0], baseline: calls[1], ratio: calls[0] / calls[1]})
	return nil
}

// datagrams returns a function that sends n datagrams to a server.
func datagrams(n int) func(*server) error {
	return func(s *server) error {
		c, err := net.Dial("udp", s.addr)
		if err != nil {
			return err
		}
		defer c.Close()
		echo := echoes(c)
		for range n {
			if err := echo(); err != nil {
				return err
			}
		}
		return nil
	}
}

// count returns the number of system calls of a run in which drive uses the server, and how
// many of them failed.
func (b *bench) count(ctx context.Context, program []string, drive func(*server) error) (all, failed int, err error) {
	out := b.path("strace")
	s, err := b.startProgram(ctx, append([]string{"strace", "-f", "-c", "-q", "-e", "trace=%desc,%network", "-e", "signal=none", "-o", out}, program...)...)
	if err != nil {
		return 0, 0, err
	}
	if err := errors.Join(drive(s), s.stop()); err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[len(f)-1] == "total" || f[len(f)-1] == "epoll_pwait" {
			continue
		}
		if calls, err := strconv.Atoi(f[3]); err == nil { // else a line of the head
			all += calls
			if len(f) == 6 { // with a column of errors
				errs, _ := strconv.Atoi(f[4]) // a number, as the one before
				failed += errs
			}
		}
	}
	return all, failed, nil
}
