package machine_test

import (
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

// checkShow checks that Show tells of each unit what systemctl prints, also of properties that
// the unit or this systemd does not have.
func checkShow(t *testing.T, m *machine.Machine, units ...string) {
	t.Helper()
	for _, unit := range units {
		args := append([]string{"show"}, "--all", "--property="+strings.Join(machine.Properties, ","), "--", unit)
		out, err := m.Output(t.Context(), "systemctl", args...)
		must(t, err)
		printed := map[string]string{}
		for line := range strings.Lines(out) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			printed[name] = value
		}
		for _, name := range machine.Properties {
			if got := show(t, m, unit, name); got != printed[name] {
				t.Errorf("Show(%s, %s) = %q, systemctl prints %q", unit, name, got, printed[name])
			}
		}
	}
}

func TestAFailedStopIsAnError(t *testing.T) {
	m := shared(t)
	if err := m.Stop(t.Context(), "no-such.service"); err == nil || !strings.Contains(err.Error(), "no-such.service not loaded") {
		t.Errorf("Stop of a missing unit = %v", err)
	}
}
