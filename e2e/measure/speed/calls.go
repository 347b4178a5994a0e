package speed

import (
	"context"
	"errors"
	"fmt"
	"math"
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
			count, err := b.count(ctx, program(n), j+1)
			if err != nil {
				return 0, err
			}
			counts[i][j] = count
		}
	}
	return float64(counts[1][1]-counts[1][0]-counts[0][1]+counts[0][0]) / (lots - few), nil
}

// count returns the number of system calls of a run with upgrades.
func (b *bench) count(ctx context.Context, program []string, upgrades int) (n int, err error) {
	out := b.path("strace")
	s, err := b.startProgram(ctx, append([]string{"strace", "-f", "-c", "-q", "-e", "trace=%desc,%network", "-e", "signal=none", "-o", out}, program...)...)
	if err != nil {
		return 0, err
	}
	for range upgrades {
		if _, _, err := s.do("upgrade"); err != nil {
			return 0, errors.Join(err, s.stop())
		}
	}
	if err := s.stop(); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 5 || f[len(f)-1] == "total" || f[len(f)-1] == "epoll_pwait" {
			continue
		}
		if calls, err := strconv.Atoi(f[3]); err == nil { // else a line of the head
			n += calls
		}
	}
	return n, nil
}
