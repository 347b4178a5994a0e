package reexec

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestTimeThatAProcessDoesNotRunIsNotOver: it is given again, once.
func TestTimeThatAProcessDoesNotRunIsNotOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeadline()
		defer d.Stop()
		for range 2 { // Reset begins anew
			d.Reset(time.Second)
			<-time.After(3 * time.Second) // stopped: nobody looks at the timer
			<-d.C
			if d.over() {
				t.Fatal("the time of a process that was stopped is over")
			}
			began := time.Now()
			<-time.After(3 * time.Second)
			<-d.C
			if !d.over() {
				t.Fatalf("it was given again, but is not over after %v", time.Since(began))
			}
		}
	})
}

func TestTimeIsOverWhenItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeadline()
		defer d.Stop()
		for _, length := range []time.Duration{time.Second, 0} {
			began := time.Now()
			d.Reset(length)
			<-d.C
			if took := time.Since(began); !d.over() || took != length {
				t.Errorf("a time of %v was over after %v", length, took)
			}
		}
	})
}
