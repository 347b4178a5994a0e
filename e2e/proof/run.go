package proof

import (
	"runtime"
	"testing"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// Run tells each story of d as a subtest, and returns the data of the run. TestMain has to
// call Init first:
//
//	func TestMain(m *testing.M) { proof.Init(); m.Run() }
//
// A story that fails says in one paragraph which requests were lost, when in the upgrade, and
// which line of the program or of the units is the likely cause. A story that cannot be told
// here is a skipped subtest. With -short, or without Linux, the whole test is skipped.
func Run(t *testing.T, d Daemon) *record.Report {
	t.Helper()
	if testing.Short() {
		t.Skip("upgrades under a service manager take about a minute")
	}
	if runtime.GOOS != "linux" {
		t.Skip("systemd needs Linux")
	}
	if d.Log == nil {
		d.Log = func(line string) { t.Log(line) }
	}
	p, err := prepare(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	t.Logf("%s under %s", p.units.service, p.stage.name())
	for _, s := range p.chosen() {
		t.Run(s.name, func(t *testing.T) {
			p.Log = func(line string) { t.Log(line) }
			switch told := p.tell(t.Context(), s); told.Verdict {
			case record.Failed:
				t.Error(told.Reason)
			case record.Skipped:
				t.Skip(told.Reason)
			}
		})
	}
	return p.r.Report()
}
