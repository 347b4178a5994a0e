package generation

import (
	"time"

	"github.com/cutover-go/cutover/internal/handover"
)

// This file has the progress of draining generations. They cannot notify the manager. Each sends
// its progress and that of older generations to its successor, so that the main process knows
// them all.

// Older returns the number of older generations that have not ended.
func (p *Predecessor) Older() int {
	if p == nil || p.gone {
		return 0
	}
	return max(p.draining.Generations, 1)
}

// KeepProgress keeps the progress of the predecessor and of older generations.
func (p *Predecessor) KeepProgress(d handover.Draining) {
	p.draining, p.until = d, time.Now().Add(time.Duration(d.Left)*time.Second)
}

// Progress returns the current progress of the older generations, or the zero value if all have
// ended. Older versions of this library send only Generations.
func (p *Predecessor) Progress() handover.Draining {
	n := p.Older()
	if n == 0 {
		return handover.Draining{}
	}
	d := p.draining
	d.Generations, d.Left = n, secondsTo(p.until)
	if d.Generation == 0 {
		d.Generation = p.generation
	}
	return d
}

// ProgressWith returns the progress of the older generations and of this one, which has the
// number generation, holds held connections, and has time until its drain deadline due.
func (p *Predecessor) ProgressWith(generation, held int, due time.Time, overdue bool) handover.Draining {
	d := p.Progress()
	d.Generations++
	d.Generation = generation
	d.Held += held
	if overdue {
		d.Overdue++
	}
	d.Left = max(d.Left, secondsTo(due))
	return d
}

// secondsTo returns the seconds until t, rounded up.
func secondsTo(t time.Time) int {
	return int((max(0, time.Until(t)) + time.Second - 1) / time.Second)
}
