package drain_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cutover-go/cutover/reexec/internal/drain"
)

// drained reports whether wait would return now, and what.
func drained(d *drain.Counter) (done bool, err error) {
	notYet := errors.New("not yet")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(notYet)
	err = d.Wait(ctx)
	return err != notYet, err
}

func TestDrainWaitsForWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := drain.NewCounter(func() { t.Error("there is no old work") })
		result := make(chan error, 1)
		go func() { result <- d.Wait(t.Context()) }() // ends when all is released
		steps := []func(){}
		first, second := d.Ask(), d.Ask()
		steps = append(steps, first, func() { d.SetEnding(true) }, first, second)
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
	d := drain.NewCounter(func() {})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	if err := d.Wait(ctx); !errors.Is(err, why) {
		t.Errorf("Drain = %v, want the cause of its context", err)
	}
}

func TestDrainEndsAtItsDeadline(t *testing.T) {
	d := drain.NewCounter(func() {})
	release := d.Ask()
	d.Expire()
	if done, _ := drained(d); done {
		t.Error("Drain returns while work comes")
	}
	d.SetEnding(true)
	if done, err := drained(d); !done || !errors.Is(err, drain.ErrDeadline) {
		t.Errorf("Drain: %v, %v, want ErrDeadline", done, err)
	}
	release()
	if done, err := drained(d); !done || err != nil {
		t.Errorf("Drain: %v, %v with nothing held", done, err)
	}
}

// TestOldWorkIsToldFromNew after each cover.
func TestOldWorkIsToldFromNew(t *testing.T) {
	told := 0
	d := drain.NewCounter(func() { told++ })
	d.NewEpoch()
	if told != 1 {
		t.Errorf("told %d times of old work, want once: there is none", told)
	}
	a, b := d.Ask(), d.Ask()
	d.NewEpoch()
	c := d.Ask()
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
	e := d.Ask()
	d.NewEpoch()
	f := d.Ask()
	d.NewEpoch()
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
	d := drain.NewCounter(func() {})
	d.SetEnding(true)
	var all sync.WaitGroup
	for range 50 {
		release := d.Ask()
		for range 2 {
			all.Go(func() {
				d.Hold().Release()
				release()
			})
		}
	}
	if err := d.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	all.Wait()
	if n := d.Count(); n != 0 {
		t.Errorf("%d held in the end", n)
	}
}

// TestAConnectionThatItsProgramHoldsCountsOnce in what an operator is told.
func TestAConnectionThatItsProgramHoldsCountsOnce(t *testing.T) {
	d := drain.NewCounter(func() {})
	for i, want := range []int{1, 1, 2, 2, 2} {
		if i%2 == 0 {
			d.Hold()
		} else {
			d.Ask()
		}
		if i < 4 && d.Count() != want {
			t.Errorf("%d after %d holds, want %d", d.Count(), i+1, want)
		}
	}
	d.Expire()
	d.SetEnding(true)
	if _, err := drained(d); err == nil || !strings.Contains(err.Error(), "with 3 held") {
		t.Errorf("Drain = %v, want the 3 connections that are held", err)
	}
}
