package machine_test

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func TestDialCostsLessThanAMillisecond(t *testing.T) {
	m := boot(t, machine.Options{})
	installGreeter(t, m, "hello")
	must(t, m.Start(t.Context(), "greeter.service"))
	const callers, calls = 16, 50
	before := processorTime(t)
	var group sync.WaitGroup
	for range callers {
		group.Go(func() { // ends after its calls
			for range calls {
				if got, err := greeted(t.Context(), m, "tcp", "127.0.0.1:7000"); got != "hello\n" || err != nil {
					t.Errorf("the greeter says %q, %v", got, err)
					return
				}
			}
		})
	}
	group.Wait()
	// Not the time that passes: that depends on what else the host has to do.
	cost := (processorTime(t) - before) / (callers * calls)
	t.Logf("%v of processor time a connection", cost)
	if cost > time.Millisecond {
		t.Errorf("a connection takes %v of processor time, 1000 a second are too many", cost)
	}
}

// processorTime returns the processor time that this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkDial(b *testing.B) {
	m := boot(b, machine.Options{})
	installGreeter(b, m, "hello")
	must(b, m.Start(b.Context(), "greeter.service"))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := greeted(b.Context(), m, "tcp", "127.0.0.1:7000"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
