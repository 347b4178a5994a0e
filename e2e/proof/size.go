package proof

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// samplePause is the time between two samples of the main process.
const samplePause = 250 * time.Millisecond

// sampling takes samples of the main process until stop is called.
func (p *proof) sampling(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ends with ctx; stop waits
		defer close(done)
		tick := time.NewTicker(samplePause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if s, err := p.size(int(p.last.Load())); err == nil {
					p.r.Sample(s)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-done }
}

// size returns the size of a process.
func (p *proof) size(pid int) (s record.Sample, err error) {
	host, err := p.stage.HostPID(pid)
	if err != nil {
		return s, err
	}
	s, err = recorder.Size(fmt.Sprintf("/proc/%d", host))
	s.At, s.PID = p.r.Now(), pid
	return s, err
}

// descriptors counts the open files of a process by their targets. The numbers of sockets and
// pipes are left out.
func (p *proof) descriptors(pid int) map[string]int {
	found := map[string]int{}
	host, err := p.stage.HostPID(pid)
	if err != nil {
		return found
	}
	dir := fmt.Sprintf("/proc/%d/fd/", host)
	files, _ := os.ReadDir(dir) // a process that has ended has none
	for _, f := range files {
		to, err := os.Readlink(dir + f.Name())
		if err != nil {
			continue
		}
		if i := strings.Index(to, ":["); i > 0 {
			to = to[:i] // socket:[123]
		}
		found[to]++
	}
	return found
}

// growth names the targets of which after has more than before, the largest growth first.
func growth(before, after map[string]int) string {
	var names []string
	for name, n := range after {
		if n > before[name] {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return (after[b] - before[b]) - (after[a] - before[a]) })
	var parts []string
	for _, name := range names[:min(3, len(names))] {
		parts = append(parts, fmt.Sprintf("%s from %d to %d", name, before[name], after[name]))
	}
	return strings.Join(parts, ", ")
}

// lastLines returns the end of text, indented.
func lastLines(text string, n int) string {
	lines := slices.Collect(strings.Lines(text))
	return "  " + strings.Join(lines[max(0, len(lines)-n):], "  ")
}

// sorted returns the names of counts with their numbers, the largest first.
func sorted[K ~string](counts map[K]int) string {
	names := slices.Collect(maps.Keys(counts))
	slices.SortFunc(names, func(a, b K) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(string(a), string(b))
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(parts, ", ")
}
