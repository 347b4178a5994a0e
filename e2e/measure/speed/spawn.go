package speed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// many is the number of listeners for which tableflip is measured, too.
const many = 4000

// spawns measures the time from the begin of an upgrade until the successor accepts, beside
// the start of the same program that only says hello, and beside tableflip.
func (b *bench) spawns(ctx context.Context) error {
	if err := adopt(); err != nil {
		return err
	}
	flip, err := b.tableflip(ctx)
	if err != nil {
		b.absent = append(b.absent, fmt.Sprintf("tableflip: %v", err))
	}
	for _, n := range []int{4, 400, many} {
		if err := raiseLimit(uint64(3*n + 1000)); err != nil {
			b.absent = append(b.absent, fmt.Sprintf("upgrade with %d listeners: %v", n, err))
			continue
		}
		if err := b.spawn(ctx, n, flip); err != nil {
			return err
		}
	}
	return b.callsPerListener(ctx, flip)
}

// spawn measures upgrades with n listeners. flip is the program with tableflip, "" without one.
func (b *bench) spawn(ctx context.Context, n int, flip string) error {
	s, err := b.start(ctx, ofOurs(n)...)
	if err != nil {
		return err
	}
	other := s
	if flip != "" {
		if other, err = b.startProgram(ctx, ofTableflip(flip, n)...); err != nil {
			return errors.Join(err, s.stop())
		}
	}
	var ours, bare, theirs []float64
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
		if flip != "" {
			took, _, err := other.do("upgrade")
			if err != nil {
				return fmt.Errorf("tableflip: %w", err)
			}
			theirs = append(theirs, took)
		}
	}
	b.compare(fmt.Sprintf("upgrade with %d listeners, spawn to switched / bare spawn", n), "ms", ours, bare)
	if flip != "" {
		b.compare(fmt.Sprintf("upgrade with %d listeners, spawn to switched / tableflip", n), "ms", ours, theirs)
		_ = other.in.Close() // it ends, and stop reaps both
	}
	return s.stop()
}

func ofOurs(n int) []string { return []string{"-mode", "sockets", "-n", strconv.Itoa(n)} }

func ofTableflip(program string, n int) []string {
	return []string{program, "-sockets", strconv.Itoa(n), "-addr", fmt.Sprintf("@tableflip/%d/%d", os.Getpid(), time.Now().UnixNano())}
}

// tableflip builds the program with tableflip, in its own module.
func (b *bench) tableflip(ctx context.Context) (program string, err error) {
	dir, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/cutover-go/cutover/e2e/measure").Output()
	if err != nil {
		return "", fmt.Errorf("go list: %w", err)
	}
	program = b.path("tableflip")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", program, ".")
	cmd.Dir = filepath.Join(strings.TrimSpace(string(dir)), "../testdata/tableflip")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(err, errors.New(strings.TrimSpace(string(text))))
	}
	return program, nil
}
