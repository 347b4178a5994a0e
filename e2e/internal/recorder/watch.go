package recorder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// interval is the time between two samples of a process.
const interval = 250 * time.Millisecond

// Watch samples each process that has answered, and notes when it ends. It returns when ctx
// ends. host returns the directory of a process in the proc file system of this process,
// an error if it has ended; see [Host].
func (r *Recorder) Watch(ctx context.Context, host func(pid int) (string, error)) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	dirs := map[int]string{}
	for {
		for _, pid := range r.serving() {
			var err error
			if dirs[pid] == "" {
				dirs[pid], err = host(pid)
			}
			var s record.Sample
			if err == nil {
				s, err = Size(dirs[pid])
			}
			s.At, s.PID = r.Now(), pid
			if err != nil {
				r.ended(pid, s.At)
				delete(dirs, pid)
				continue
			}
			r.Sample(s)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Host returns the directory of a process of this process's own namespace.
func Host(pid int) (string, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	_, err := os.Stat(dir)
	return dir, err
}

// Size reads the size of the process whose directory below /proc is dir. One that has ended
// and is not reaped has none.
func Size(dir string) (s record.Sample, err error) {
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return s, err
	}
	var kilobytes int64
	for line := range bytes.Lines(status) {
		_, _ = fmt.Sscanf(string(line), "VmRSS: %d kB", &kilobytes) // other lines do not match
		_, _ = fmt.Sscanf(string(line), "Threads: %d", &s.Threads)
	}
	if kilobytes == 0 {
		return s, fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	s.Memory = kilobytes << 10
	open, err := os.ReadDir(filepath.Join(dir, "fd"))
	s.Descriptors = len(open)
	if errors.Is(err, fs.ErrPermission) { // of another user
		err = nil
	}
	return s, err
}

// serving returns the processes that have answered and have not ended.
func (r *Recorder) serving() (pids []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for pid, ended := range r.processes {
		if ended == 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

func (r *Recorder) ended(pid int, at time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.processes[pid] = at
}
