package notify_test

import (
	"os"
	"testing"

	"github.com/cutover-go/cutover/notify"
)

func TestNilAndZeroNotifierDoNothing(t *testing.T) {
	ctx := t.Context()
	for _, n := range []*notify.Notifier{nil, {}} {
		for name, err := range map[string]error{
			"Send":        n.Send(ctx, notify.Ready),
			"Barrier":     n.Barrier(ctx),
			"Store":       n.Store(ctx, "name", os.Stdin),
			"Remove":      n.Remove(ctx, "name"),
			"RunWatchdog": n.RunWatchdog(ctx, nil),
			"Close":       n.Close(),
		} {
			if err != nil {
				t.Errorf("%s on %v: %v", name, n, err)
			}
		}
		if n.StoreMax() != 0 || n.WatchdogTimeout() != 0 {
			t.Errorf("%v: store %d, watchdog %v, want 0", n, n.StoreMax(), n.WatchdogTimeout())
		}
	}
}
