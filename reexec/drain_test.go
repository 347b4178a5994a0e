package reexec

import (
	"context"
	"errors"
	"strings"
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
		first, second := d.ask(), d.ask()
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
	release := d.ask()
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
	a, b := d.ask(), d.ask()
	d.cover()
	c := d.ask()
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
	e := d.ask()
	d.cover()
	f := d.ask()
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
		release := d.ask()
		for range 2 {
			all.Go(func() {
				d.hold().release()
				release()
			})
		}
	}
	if err := d.wait(t.Context()); err != nil {
		t.Error(err)
	}
	all.Wait()
	if n := d.count(); n != 0 {
		t.Errorf("%d held in the end", n)
	}
}

// TestAConnectionThatItsProgramHoldsCountsOnce in what an operator is told.
func TestAConnectionThatItsProgramHoldsCountsOnce(t *testing.T) {
	d := newDrain(func() {})
	for i, want := range []int{1, 1, 2, 2, 2} {
		if i%2 == 0 {
			d.hold()
		} else {
			d.ask()
		}
		if i < 4 && d.count() != want {
			t.Errorf("%d after %d holds, want %d", d.count(), i+1, want)
		}
	}
	d.expire()
	d.set(true)
	if _, err := drained(d); err == nil || !strings.Contains(err.Error(), "with 3 held") {
		t.Errorf("Drain = %v, want the 3 connections that are held", err)
	}
}
