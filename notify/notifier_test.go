package notify_test

import (
	"os"
	"testing"

	"github.com/cutover-go/cutover/notify"
)

func TestNilNotifierDoesNothing(t *testing.T) {
	var n *notify.Notifier
	ctx := t.Context()
	for name, err := range map[string]error{
		"Send":        n.Send(ctx, notify.Ready),
		"Barrier":     n.Barrier(ctx),
		"Store":       n.Store(ctx, "name", os.Stdin),
		"Remove":      n.Remove(ctx, "name"),
		"RunWatchdog": n.RunWatchdog(ctx, nil),
		"Close":       n.Close(),
	} {
		if err != nil {
			t.Errorf("%s on a nil Notifier: %v", name, err)
		}
	}
	if n.StoreMax() != 0 || n.WatchdogTimeout() != 0 {
		t.Errorf("nil Notifier: store %d, watchdog %v, want 0", n.StoreMax(), n.WatchdogTimeout())
	}
}
