package deadline

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAStoppedProcessGetsBackTheTimeThatItMissed, once and no more than it missed.
func TestAStoppedProcessGetsBackTheTimeThatItMissed(t *testing.T) {
	const length = 12 * time.Second
	for _, tt := range []struct{ late, back time.Duration }{
		{tardiness - 1, 0},
		{tardiness, tardiness},
		{250 * time.Millisecond, 250 * time.Millisecond},
		{3 * time.Second, 3 * time.Second},
		{time.Hour, length},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := New()
			defer d.Stop()
			for range 2 { // Reset begins anew
				d.Reset(length)
				<-time.After(length + tt.late) // stopped: the timer is not looked at
				<-d.C
				if tt.back == 0 {
					if !d.Over() {
						t.Errorf("%v late: the time is not over", tt.late)
					}
					continue
				}
				if d.Over() {
					t.Errorf("%v late: the time is over", tt.late)
				}
				began := time.Now()
				<-d.C
				if got := time.Since(began); got != tt.back {
					t.Errorf("%v late: %v are given back, want %v", tt.late, got, tt.back)
				}
				if !d.Over() {
					t.Errorf("%v late: the time is given back twice", tt.late)
				}
			}
		})
	}
}

func TestTimeIsOverWhenItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		defer d.Stop()
		for _, length := range []time.Duration{time.Second, 0} {
			began := time.Now()
			d.Reset(length)
			<-d.C
			if took := time.Since(began); !d.Over() || took != length {
				t.Errorf("a time of %v was over after %v", length, took)
			}
		}
	})
}

func TestShortenDelaysNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New()
		defer d.Stop()
		for _, tt := range []struct{ to, want time.Duration }{{time.Second, time.Second}, {time.Hour, time.Minute}} {
			began := time.Now()
			d.Reset(time.Minute)
			d.Shorten(tt.to)
			<-d.C
			if took := time.Since(began); !d.Over() || took != tt.want {
				t.Errorf("shortened to %v, the time was over after %v, want %v", tt.to, took, tt.want)
			}
		}
	})
}
