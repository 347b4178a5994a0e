package goroutine_test

import (
	"runtime"
	"testing"

	"github.com/cutover-go/cutover/reexec/internal/goroutine"
)

// deep needs so much of the stack that the runtime moves it.
func deep(n int) (sum byte) {
	var page [1024]byte
	page[n%len(page)] = 1
	if n > 0 {
		sum = deep(n - 1)
	}
	return sum + page[n/2]
}

func TestEachGoroutineKeepsItsOwnID(t *testing.T) {
	const goroutines = 100
	begun, end := make(chan goroutine.ID), make(chan struct{})
	kept := make(chan bool)
	for range goroutines {
		go func() { // ends with end
			id := goroutine.Self()
			begun <- id
			<-end
			deep(100)
			runtime.Gosched()
			kept <- goroutine.Self() == id
		}()
	}
	seen := map[goroutine.ID]bool{goroutine.Self(): true}
	for range goroutines {
		id := <-begun
		if seen[id] {
			t.Errorf("two goroutines have the ID %#x", id)
		}
		seen[id] = true
	}
	close(end)
	for range goroutines {
		if !<-kept {
			t.Error("a goroutine has got another ID")
		}
	}
}
