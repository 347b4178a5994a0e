package losses

import (
	"bytes"
	"fmt"
	"os"
)

// usage is processor time of the whole machine, in ticks.
type usage struct{ busy, all uint64 }

// processor returns the processor time since the start of the machine, or zero if the
// kernel does not report it.
func processor() (u usage) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u
	}
	var user, nice, system, idle, iowait, irq, softirq uint64
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if _, err := fmt.Sscanf(string(line), "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq); err != nil {
		return u
	}
	u.busy = user + nice + system + irq + softirq
	u.all = u.busy + idle + iowait
	return u
}

func (u usage) since(before usage) usage { return usage{u.busy - before.busy, u.all - before.all} }

func (u *usage) add(other usage) {
	u.busy += other.busy
	u.all += other.all
}

// part returns how much of the time was used.
func (u usage) part() float64 {
	if u.all == 0 {
		return 0
	}
	return float64(u.busy) / float64(u.all)
}
