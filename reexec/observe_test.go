//go:build linux

package reexec_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
)

func TestEventsOfAnUpgrade(t *testing.T) {
	s := newScene(t)
	one, _ := s.open("{}")
	two := one.handOver("{}")
	one.Do("drain")
	observed(t, one, two.PID, "started", "ready", "switched", "committed")
	observed(t, two, 0, "adopted")
	one.Do("close")
	observed(t, one, two.PID, "started", "ready", "switched", "committed", "drained")
}

func TestEventsOfAnUpgradeThatIsUndone(t *testing.T) {
	s := newScene(t)
	one, _ := s.open("{}")
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.kill()
	upgrade.Fails("was ended by SIGKILL")
	observed(t, one, two.PID, "started", "undone")
}

// observed checks what the actor was told, once that is as much as is wanted, and
// what each event says of it.
func observed(t *testing.T, p *process, successor int, want ...string) {
	t.Helper()
	text := p.Do("observed", strconv.Itoa(len(want)))
	var events []map[string]any // not of reexec.Event: JSON cannot fill its Err
	if err := json.Unmarshal([]byte(text), &events); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var kinds []string
	for _, e := range events {
		kinds = append(kinds, e["Kind"].(string))
		if int(e["PID"].(float64)) != p.PID || int(e["Successor"].(float64)) != successor || e["Build"] == "" || e["Since"].(float64) <= 0 {
			t.Errorf("event %v, want it to be of process %d and successor %d", e, p.PID, successor)
		}
	}
	if !slices.Equal(kinds, want) {
		t.Errorf("process %d was told %v, want %v", p.PID, kinds, want)
	}
}
