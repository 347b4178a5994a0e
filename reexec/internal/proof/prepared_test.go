//go:build linux

package proof_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/cutover-go/cutover/reexec/internal/proof"
)

func TestPreparedMarksAreStoredAgainIfTheManagerWasLate(t *testing.T) {
	late := errors.New("late")
	for _, tt := range []struct {
		first        error
		acknowledges bool
		stores       int
	}{
		{late, true, 2},
		{late, false, 1},           // a successor without an answer needs none
		{proof.ErrNoRoom, true, 1}, // there is no room a moment later either
	} {
		var tasks sync.WaitGroup
		stores := 0
		p := proof.Prepare(t.Context(), nil, tasks.Go, func() (*proof.Marks, error) { stores++; return nil, tt.first })
		if m := p.Take(t.Context(), tt.acknowledges, needed); m != nil {
			t.Errorf("marks %v after %v", m, tt.first)
		}
		if stores != tt.stores {
			t.Errorf("the marks are stored %d times after %q, want %d", stores, tt.first, tt.stores)
		}
		tasks.Wait()
	}
}

func needed() bool { return true }

func TestPreparingEndsWithTheUpgrade(t *testing.T) {
	var tasks sync.WaitGroup
	p := proof.Prepare(t.Context(), nil, tasks.Go, func() (*proof.Marks, error) { return nil, proof.ErrNoRoom })
	p.Drop()
	tasks.Wait()
	p.Drop()
	var none *proof.Prepared
	none.Drop()
}

func TestPreparingEndsWithTheSuccessor(t *testing.T) {
	var tasks sync.WaitGroup
	over := make(chan struct{})
	close(over)
	store := func() (*proof.Marks, error) { return nil, proof.ErrNoRoom }
	p := proof.Prepare(t.Context(), over, tasks.Go, store)
	tasks.Wait()
	if m := p.Take(t.Context(), true, needed); m != nil {
		t.Errorf("marks %v of a successor that has ended", m)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p = proof.Prepare(ctx, nil, tasks.Go, store)
	tasks.Wait()
	if m := p.Take(ctx, true, needed); m != nil {
		t.Errorf("marks %v in a process that ends", m)
	}
	var none *proof.Prepared
	if m := none.Take(t.Context(), true, needed); m != nil {
		t.Errorf("marks %v without a manager", m)
	}
}
