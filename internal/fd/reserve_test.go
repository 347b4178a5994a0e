//go:build linux

package fd_test

import (
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/leak"
)

func TestAReserveGivesBackAndOpensAgain(t *testing.T) {
	before := len(leak.Descriptors())
	held := func() int { return len(leak.Descriptors()) - before }
	var r fd.Reserve
	if r.Lend(1) || held() != 0 {
		t.Errorf("an empty reserve lends, or holds %d", held())
	}
	r.Open(5)
	for _, want := range []int{3, 1, 0} {
		if !r.Lend(2) || held() != want {
			t.Errorf("after Lend %d are held, want %d", held(), want)
		}
	}
	if r.Lend(2) {
		t.Error("a reserve lends more than it has")
	}
	r.Fill()
	if held() != 5 {
		t.Errorf("after Fill %d are held, want 5", held())
	}
	r.Close()
	r.Fill()
	if r.Lend(1) || held() != 0 {
		t.Errorf("after Close %d are held", held())
	}
}
