package flow

import (
	"context"
	"sync"
)

// routes counts the running calls of a program's route.
type routes struct {
	mu    sync.Mutex
	under int
	none  chan struct{} // closed when no call is running
}

func (r *routes) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.under == 0 {
		r.none = make(chan struct{})
	}
	r.under++
}

func (r *routes) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.under--; r.under == 0 {
		close(r.none)
	}
}

// wait returns when no call is running, or an error at the end of ctx.
func (r *routes) wait(ctx context.Context) error {
	r.mu.Lock()
	under, none := r.under, r.none
	r.mu.Unlock()
	if under == 0 {
		return nil
	}
	select {
	case <-none:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
