package compare

import (
	"os"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/internal/needs"
)

func TestMain(m *testing.M) {
	machine.Init()
	os.Exit(m.Run())
}

// TestABadVersionEndsTheServerThatExecutesIt compares the two ends of the table. The figures
// of the others are chance, or need more time than a test has.
func TestABadVersionEndsTheServerThatExecutesIt(t *testing.T) {
	needs.That(t, machine.Available())
	p := plan{runs: 1, upgrades: 1, window: 500 * time.Millisecond, repair: 3 * time.Second, slow: time.Second, flood: 200, patience: time.Minute, part: 0.5, queue: 1024, only: []string{"overlap", "exec"}, log: t.Output()}
	got, err := p.run(t.Context())
	if err != nil || len(got.rows) != 2 {
		t.Fatalf("%d rows, %v", len(got.rows), err)
	}
	ours, exec := got.rows[0].runs[0], got.rows[1].runs[0]
	if ours.lost() > 0 || !ours.Reported || ours.Memory == 0 || ours.Took == 0 {
		t.Errorf("this module: %+v, want nothing lost, a reported error, and the other figures", ours)
	}
	if exec.Bad == 0 || exec.Reported {
		t.Errorf("execve: %+v, want lost requests and a command that succeeds", exec)
	}
	if exec.Cut == 0 {
		t.Errorf("execve: %+v, want connections that were cut off", exec)
	}
}
