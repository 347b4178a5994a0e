//go:build linux

package reexec_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

func TestCloseEndsADrain(t *testing.T) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Hold()()
	result := make(chan error, 1)
	go func() { result <- u.Drain(context.Background()) }() // joined below
	if err := u.Close(); err != nil {
		t.Error(err)
	}
	if err := <-result; !errors.Is(err, reexec.ErrDrainDeadline) {
		t.Errorf("Drain = %v, want ErrDrainDeadline", err)
	}
}

// TestAStopBeforeReadyHasADeadline, too.
func TestAStopBeforeReadyHasADeadline(t *testing.T) {
	ends := map[string]func(*reexec.Upgrader){
		"stop": (*reexec.Upgrader).Stop,
		"fail": func(u *reexec.Upgrader) { u.Fail(errors.New("no configuration")) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			u, err := reexec.New(reexec.Options{Drain: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer u.Hold()()
			end(u)
			if err := u.Drain(context.Background()); !errors.Is(err, reexec.ErrDrainDeadline) {
				t.Errorf("Drain = %v, want ErrDrainDeadline", err)
			}
			if err := u.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
