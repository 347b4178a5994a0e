package speed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// A server is the program of testdata/speed, in its current generation.
type server struct {
	in   io.WriteCloser
	out  *bufio.Scanner
	addr string
	pid  int // of the first generation
	cmd  *exec.Cmd
}

func (b *bench) start(ctx context.Context, args ...string) (*server, error) {
	return b.startProgram(ctx, append([]string{b.path("speed")}, args...)...)
}

// startProgram starts a program that obeys like testdata/speed.
func (b *bench) startProgram(ctx context.Context, args ...string) (*server, error) {
	// The output comes over a pipe that all generations have, so Wait must not wait for its end.
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = w, b.log
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_ = r.Close() // the error matters more
		return nil, err
	}
	s := &server{in: in, out: bufio.NewScanner(r), pid: cmd.Process.Pid, cmd: cmd}
	s.addr, err = s.line()
	return s, err
}

// line returns the next line of the server.
func (s *server) line() (string, error) {
	if !s.out.Scan() {
		return "", fmt.Errorf("the server has ended: %w", errors.Join(s.out.Err(), io.ErrUnexpectedEOF))
	}
	return s.out.Text(), nil
}

// do gives a command and returns the two figures of the answer, in milliseconds.
func (s *server) do(command string) (first, second float64, err error) {
	if _, err := io.WriteString(s.in, command+"\n"); err != nil {
		return 0, 0, err
	}
	text, err := s.line()
	if err != nil {
		return 0, 0, err
	}
	var ns [2]int64
	if _, err := fmt.Sscan(text, &ns[0], &ns[1]); err != nil {
		return 0, 0, fmt.Errorf("%s: %s", command, text)
	}
	return float64(ns[0]) / 1e6, float64(ns[1]) / 1e6, nil
}

// stop ends the server, and reaps the generations that this process has adopted.
func (s *server) stop() error {
	err := s.in.Close() // the generation that serves ends with its input
	for {
		if _, werr := unix.Wait4(-1, nil, 0, nil); werr != nil && werr != unix.EINTR {
			return err // ECHILD: none is left
		}
	}
}

// cpu returns the processor time of the first generation.
func (s *server) cpu() (time.Duration, error) {
	var clock unix.Timespec
	err := unix.ClockGettime(int32(^s.pid<<3|2), &clock) // CPUCLOCK_SCHED of a process, clock_getcpuclockid(3)
	return time.Duration(clock.Nano()), err
}
