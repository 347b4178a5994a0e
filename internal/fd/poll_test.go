//go:build linux

package fd_test

import (
	"slices"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
)

// A removed descriptor is not reported.
func TestPollReportsReadableAndEndedDescriptors(t *testing.T) {
	p, err := fd.NewPoll()
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := make([]*fd.FD, 300), make([]*fd.FD, 300)
	for i := range ours {
		if ours[i], theirs[i], err = fd.Pair(); err != nil {
			t.Fatal(err)
		}
		if err := p.Add(ours[i]); err != nil {
			t.Fatal(err)
		}
	}
	heard := make(chan int, 3*len(ours))
	ended := make(chan struct{})
	go func() { // joined below
		defer close(ended)
		for {
			ready, err := p.Wait()
			if err != nil {
				return
			}
			for _, raw := range ready {
				i := slices.IndexFunc(ours, func(f *fd.FD) bool { return f.Raw() == raw })
				if err := p.Remove(ours[i]); err != nil {
					t.Error(err)
				}
				heard <- i
			}
		}
	}()
	if err := theirs[7].Close(); err != nil {
		t.Error(err)
	}
	if i := <-heard; i != 7 {
		t.Errorf("%d is ready, want 7", i)
	}
	if err := fd.Send(uintptr(theirs[8].Raw()), []byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	if i := <-heard; i != 8 {
		t.Errorf("%d is ready, want 8", i)
	}
	if err := p.Remove(ours[9]); err != nil {
		t.Error(err)
	}
	seen := map[int]bool{7: true, 8: true, 9: true}
	fd.CloseAll(theirs)
	for range len(ours) - len(seen) {
		i := <-heard
		if seen[i] {
			t.Errorf("%d is ready again, or was removed", i)
		}
		seen[i] = true
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if _, err := p.Wait(); err == nil {
		t.Error("a poll that is closed waits")
	}
	if err := p.Add(ours[0]); err == nil {
		t.Error("a poll that is closed takes a socket")
	}
	fd.CloseAll(ours)
}
