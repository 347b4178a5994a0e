package fd

import (
	"errors"
	"os"
	"sync"
	"syscall"
)

// A Reserve holds descriptors of the null device. They are given back one by one when a
// process has none left and must do something all the same. All methods are safe for
// concurrent use. The zero Reserve holds none.
type Reserve struct {
	mu    sync.Mutex
	spare []*FD
	size  int
}

// Open makes r hold n descriptors, or as many as the process can have.
func (r *Reserve) Open(n int) {
	r.mu.Lock()
	r.size = n
	r.mu.Unlock()
	r.Fill()
}

// Fill opens the descriptors again that were given back, as far as the limit allows.
func (r *Reserve) Fill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.spare) < r.size {
		d, err := r.another()
		if err != nil {
			return // there is none, or no null device
		}
		r.spare = append(r.spare, d)
	}
}

// another opens one more descriptor of the null device.
func (r *Reserve) another() (*FD, error) {
	if len(r.spare) > 0 {
		return r.spare[0].Dup()
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	return DupOf(null)
}

// Lend gives back at most n descriptors. It reports false if there is none left.
func (r *Reserve) Lend(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n = min(n, len(r.spare))
	first := len(r.spare) - n
	CloseAll(r.spare[first:])
	r.spare = r.spare[:first]
	return n > 0
}

// Close gives all back, for good.
func (r *Reserve) Close() {
	r.mu.Lock()
	r.size = 0
	n := len(r.spare)
	r.mu.Unlock()
	r.Lend(n)
}

// Short reports whether err says that no descriptor is free, in the process or the system.
func Short(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
