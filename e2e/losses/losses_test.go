package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

func TestMain(m *testing.M) {
	machine.Init()
	os.Exit(m.Run())
}

// inShort is a plan of seconds, with little load: other tests run at the same time.
func inShort(t *testing.T) plan {
	return plan{kind: "auto", upgrades: 3, part: 0.3, pace: pace{window: time.Second, burst: 3, rest: 4 * time.Second}, log: t.Output(), detail: true}
}

// TestTheRecipeIsMeasuredByTheSameRules: what it loses without fail is sessions,
// which http.Server.Shutdown does not know.
func TestTheRecipeIsMeasuredByTheSameRules(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	p := inShort(t)
	p.kind, p.only = "alone", "recipe"
	got, err := p.run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range got.recipe.rows {
		if strings.HasPrefix(r.Load, "WebSockets") && r.Lost == 0 {
			t.Errorf("%s: %d requests, and none is lost", r.Load, r.Requests)
		}
	}
}
