//go:build linux

package upgradetest

import (
	"time"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// resetWatchdog handles WATCHDOG=1.
func (s *service) resetWatchdog() {
	s.watchdogTime = time.Time{}
	if s.watchdogAfter > 0 && s.watchdogAfter < unitfile.Forever {
		s.watchdogTime = time.Now().Add(s.watchdogAfter)
	}
}

func (s *service) watchdogExpired() {
	s.watchdogTime = time.Time{}
	s.log.printf("%s: Watchdog timeout (limit %s)!", s.name, unitfile.FormatSpan(s.watchdogAfter))
	s.enterSignal(stopAbrt, badWatchdog)
}
