package losses

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// movable are the loads whose connections move: they never see the server close one.
var movable = []string{
	"h1, 32 busy connections", "h1, 1,000 idle connections", "h1, pipelined", "uploads, 10 MB in 3 s", "downloads, 10 MB in 3 s",
}

func TestUpgradesLoseNothingOfAnyLoad(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	p := inShort(t)
	p.only, p.beside = "web", machine.Available() == nil
	got, err := p.run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got.ours.rows {
		if r.Lost > 0 || r.Requests == 0 {
			t.Errorf("%s: %d of %d requests lost", r.Load, r.Lost, r.Requests)
		}
		if slices.Contains(movable, r.Load) && r.Closed > 0 {
			t.Errorf("%s: the server has ended %d connections, want none", r.Load, r.Closed)
		}
		if r.Load == "h1, 1,000 idle connections" && r.Dials > 0 {
			t.Errorf("%s: %d connections had to be opened again, want none", r.Load, r.Dials)
		}
	}
}
