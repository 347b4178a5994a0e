package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// chaosReport lists the outcomes, step by step.
type chaosReport struct {
	seed       uint64
	began      time.Time
	steps      []string
	done       bool // the last step has its result
	violations int

	succeeded, failed   int           // reloads
	longest             time.Duration // until the service had settled
	descriptors, thread int           // the most at a rest
}

func newChaosReport(seed uint64) *chaosReport { return &chaosReport{seed: seed, began: time.Now()} }

func (r *chaosReport) begin(name string) {
	r.steps = append(r.steps, fmt.Sprintf("%3d %8.3fs  %s", len(r.steps)+1, time.Since(r.began).Seconds(), name))
	r.done = false
}

func (r *chaosReport) result(text string) {
	r.steps[len(r.steps)-1] += ": " + text
	r.done = true
}

func (r *chaosReport) reload(ok bool) {
	if ok {
		r.succeeded++
	} else {
		r.failed++
	}
}

func (r *chaosReport) settled(took time.Duration) { r.longest = max(r.longest, took) }

func (r *chaosReport) sized(descriptors, threads int) {
	r.descriptors, r.thread = max(r.descriptors, descriptors), max(r.thread, threads)
}

// last is the latest steps, in which a violation has its cause.
func (r *chaosReport) last(n int) string {
	text := fmt.Sprintf("seed %d, at %s, %.3fs after the start; the last steps:\n%s",
		r.seed, time.Now().Format("15:04:05.000000"), time.Since(r.began).Seconds(),
		strings.Join(r.steps[max(0, len(r.steps)-n):], "\n"))
	if !r.done {
		text += ": not over"
	}
	return text
}

func (r *chaosReport) String() string {
	return fmt.Sprintf("seed %d: %d steps in %.0f s, %d violations\n%s\nreloads by systemctl: %d succeeded, %d failed; at most %v until the service had settled; at most %d descriptors and %d threads at rest",
		r.seed, len(r.steps), time.Since(r.began).Seconds(), r.violations, strings.Join(r.steps, "\n"),
		r.succeeded, r.failed, r.longest.Round(time.Millisecond), r.descriptors, r.thread)
}

// chaosLedger reads the file in which the server notes the requests that it executes.
type chaosLedger struct {
	path string
	at   int64
	by   map[string]string // the process that has executed it, by id
}

func newChaosLedger(path string) *chaosLedger {
	return &chaosLedger{path: path, by: map[string]string{}}
}

// read reads the new lines, and returns the requests that were executed before.
func (l *chaosLedger) read() (twice []string, err error) {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // none was executed
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(l.at, io.SeekStart); err != nil {
		return nil, err
	}
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadString('\n')
		if err != nil { // a half line is read next time
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return twice, err
		}
		l.at += int64(len(line))
		id, pid, _ := strings.Cut(strings.TrimSpace(line), " ")
		if before, ok := l.by[id]; ok {
			twice = append(twice, fmt.Sprintf("%s by process %s and %s", id, before, pid))
		}
		l.by[id] = pid
	}
}

func (l *chaosLedger) String() string {
	return fmt.Sprintf("requests executed: %d, each once", len(l.by))
}
