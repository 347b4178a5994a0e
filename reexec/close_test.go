//go:build linux

package reexec_test

import (
	"context"
	"errors"
	"testing"

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
