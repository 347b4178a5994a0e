package reexec

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// drained reports whether wait would return now, and what.
func drained(d *drain) (done bool, err error) {
	done, _, err = d.check()
	return done, err
}

func TestDrainWaitsForWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDrain(func() { t.Error("there is no old work") })
		result := make(chan error, 1)
		go func() { result <- d.wait(t.Context()) }() // ends when all is released
		steps := []func(){}
		first, second := d.hold(), d.hold()
		steps = append(steps, first, func() { d.set(true) }, first, second)
		for i, step := range steps {
			synctest.Wait()
			if len(result) > 0 {
				t.Fatalf("Drain has returned before step %d", i)
			}
			step()
		}
		if err := <-result; err != nil {
			t.Errorf("Drain = %v", err)
		}
	})
}

func TestDrainEndsWithItsContext(t *testing.T) {
	d := newDrain(func() {})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	if err := d.wait(ctx); !errors.Is(err, why) {
		t.Errorf("Drain = %v, want the cause of its context", err)
	}
}

func TestDrainEndsAtItsDeadline(t *testing.T) {
	d := newDrain(func() {})
	release := d.hold()
	d.expire()
	if done, _ := drained(d); done {
		t.Error("Drain returns while work comes")
	}
	d.set(true)
	if done, err := drained(d); !done || !errors.Is(err, ErrDrainDeadline) {
		t.Errorf("Drain: %v, %v, want ErrDrainDeadline", done, err)
	}
	release()
	if done, err := drained(d); !done || err != nil {
		t.Errorf("Drain: %v, %v with nothing held", done, err)
	}
}

// TestOldWorkIsToldFromNew after each cover.
func TestOldWorkIsToldFromNew(t *testing.T) {
	told := 0
	d := newDrain(func() { told++ })
	d.cover()
	if told != 1 {
		t.Errorf("told %d times of old work, want once: there is none", told)
	}
	a, b := d.hold(), d.hold()
	d.cover()
	c := d.hold()
	a()
	a() // a second call does nothing
	c()
	if told != 1 {
		t.Error("told while old work is held")
	}
	b()
	if told != 2 {
		t.Errorf("told %d times, want 2", told)
	}
	e := d.hold()
	d.cover()
	f := d.hold()
	d.cover()
	f()
	if told != 2 {
		t.Error("told while work of two eras ago is held")
	}
	e()
	if told != 3 {
		t.Errorf("told %d times, want 3", told)
	}
}

// TestHoldsOfManyGoroutinesAddUp, some of them released twice.
func TestHoldsOfManyGoroutinesAddUp(t *testing.T) {
	d := newDrain(func() {})
	d.set(true)
	var all sync.WaitGroup
	for range 50 {
		release := d.hold()
		for range 2 {
			all.Go(func() {
				d.hold()()
				release()
			})
		}
	}
	if err := d.wait(t.Context()); err != nil {
		t.Error(err)
	}
	all.Wait()
	if len(d.held) != 0 {
		t.Errorf("held in the end: %v", d.held)
	}
}
