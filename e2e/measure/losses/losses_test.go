package losses

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func TestMain(m *testing.M) {
	machine.Init()
	os.Exit(m.Run())
}

// inShort is a plan of seconds, with little load: other tests run at the same time. An
// upgrade comes while the processes before still have answers to finish.
func inShort(t *testing.T) plan {
	return plan{kind: "auto", upgrades: 2, part: 0.15, window: 1500 * time.Millisecond, log: t.Output(), detail: true}
}

// TestTheRecipeIsMeasuredByTheSameRules: http.Server.Shutdown closes what is idle, the
// clients see it, and have to dial again. How many requests are lost is chance.
func TestTheRecipeIsMeasuredByTheSameRules(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	p := inShort(t)
	p.kind, p.only, p.upgrades = "alone", "recipe", 1
	got, err := p.run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got.recipe.rows {
		if r.Load == "h1, 1,000 idle connections" && (r.Closed < 900 || r.Dials == 0) {
			t.Errorf("%s: %d closed, %d opened again, want nearly all and some", r.Load, r.Closed, r.Dials)
		}
	}
}
