package proof

import (
	"fmt"
	"strings"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// The growth that a story of twenty upgrades allows. A leak grows with each upgrade.
const (
	moreDescriptors = 5
	moreThreads     = 16
	moreMemory      = 32 << 20
	settling        = 3 // upgrades before the first measurement
)

// upgradesWithoutGrowth upgrades many times and compares the sizes of the last main process
// and of the one after the first upgrades, both without load.
func (s *scene) upgradesWithoutGrowth() error {
	if err := s.times(min(settling, s.Upgrades-1)); err != nil {
		return err
	}
	first, before, err := s.quietSize()
	if err != nil {
		return err
	}
	s.load, s.ended = start(s.ctx, &s.Daemon, s.stage.DialContext, s.r, brief), false
	if err := s.times(s.Upgrades - min(settling, s.Upgrades-1)); err != nil {
		return err
	}
	last, after, err := s.quietSize()
	if err != nil {
		return err
	}
	var grown []string
	if last.Descriptors > first.Descriptors+moreDescriptors {
		grown = append(grown, fmt.Sprintf("descriptors from %d to %d (%s): a descriptor without close-on-exec, or one that is not closed, goes on to each next process",
			first.Descriptors, last.Descriptors, growth(before, after)))
	}
	if last.Threads > first.Threads+moreThreads {
		grown = append(grown, fmt.Sprintf("threads from %d to %d", first.Threads, last.Threads))
	}
	if last.Memory > first.Memory*3/2+moreMemory {
		grown = append(grown, fmt.Sprintf("resident memory from %d to %d MiB: Save hands on more each time, perhaps", first.Memory>>20, last.Memory>>20))
	}
	if last.Processes > first.Processes {
		grown = append(grown, fmt.Sprintf("processes of the service from %d to %d: replaced ones do not end; their main returns before the drain, or waits without a deadline",
			first.Processes, last.Processes))
	}
	if len(grown) > 0 {
		return flawf("%d upgrades make the service grow: %s.", s.Upgrades, strings.Join(grown, "; "))
	}
	return s.nothingLost()
}

// times upgrades n times under load.
func (s *scene) times(n int) error {
	for i := range n {
		if err := s.deploy(); err != nil {
			return err
		}
		e, err := s.reload(fmt.Sprintf("upgrade %d in a row", i+1))
		if err != nil {
			return s.refused(err)
		}
		if err := s.replaced(e); err != nil {
			return err
		}
	}
	return nil
}

// quietSize ends the load, waits for the replaced processes, and measures the main process.
func (s *scene) quietSize() (size record.Sample, files map[string]int, err error) {
	s.endLoad()
	for _, e := range s.events {
		if e.Drained != 0 || e.Kind != record.Reload {
			continue
		}
		if err := s.drained(e); err != nil {
			return size, nil, err
		}
	}
	pid := s.main(s.ctx)
	size, err = s.size(pid)
	size.Processes = len(s.stage.members(pid))
	s.r.Sample(size)
	return size, s.descriptors(pid), err
}
