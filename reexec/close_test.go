//go:build linux

package reexec_test

import (
	"context"
	"errors"
	"strings"
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

func TestSecondNewInAProcessIsRefused(t *testing.T) {
	for _, directory := range []string{"", t.TempDir()} {
		t.Setenv("RUNTIME_DIRECTORY", directory)
		first, err := reexec.New(reexec.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reexec.New(reexec.Options{}); err == nil || !strings.Contains(err.Error(), "has an Upgrader already") {
			t.Errorf("a second New = %v, want it to say that there is one", err)
		}
		if err := first.Ready(context.Background()); err != nil {
			t.Error(err)
		}
		if _, err := reexec.New(reexec.Options{}); err == nil {
			t.Error("a second New after Ready succeeds")
		}
		if r := first.Status(); r.State != "serving" {
			t.Errorf("the first Upgrader is %s, want serving", r.State)
		}
		if err := first.Close(); err != nil {
			t.Error(err)
		}
		again, err := reexec.New(reexec.Options{})
		if err != nil {
			t.Fatalf("New after Close: %v", err)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReadyReturnsTheReasonOfFail(t *testing.T) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	reason := errors.New("no configuration")
	u.Fail(reason)
	if err := u.Ready(context.Background()); !errors.Is(err, reason) {
		t.Errorf("Ready = %v, want %v: a program that has failed must not end with status 0", err, reason)
	}
}
