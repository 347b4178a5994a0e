package proof_test

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/proof"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// Without root and systemd most stories can be told, and the report says what told them.
func TestTheEmbeddedManagerStandsForSystemd(t *testing.T) {
	var log []string
	stories := []string{proof.StoryReload, proof.StoryBroken, proof.StoryKill}
	if *full {
		stories = nil
	}
	r, err := proof.Prove(t.Context(), proof.Daemon{
		Binary: daemon(t), Units: "testdata/units", Probe: proof.HTTP("http://127.0.0.1:8080/"),
		Manager: proof.Embedded, Stories: stories,
		Log: func(line string) { log = append(log, line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(log, "\n"), "stands for systemd") || r.Environment.Manager != "embedded manager" {
		t.Errorf("neither the log %q nor the report %q says which manager it is", log, r.Environment.Manager)
	}
	for _, s := range r.Stories {
		if s.Verdict != record.Passed {
			t.Errorf("%s: %s: %s", s.Name, s.Verdict, s.Reason)
		}
	}
	checkReport(t, r)
}

// checkReport checks that the data of a run are there: requests of two processes, an
// upgrade with its drain, and samples.
func checkReport(t *testing.T, r *record.Report) {
	t.Helper()
	answered := map[int]int{}
	for _, q := range r.Requests {
		if !q.Lost() {
			answered[q.PID]++
		}
	}
	for _, e := range r.Events {
		if e.Kind != record.Reload || e.Error != "" {
			continue
		}
		if e.At == 0 || e.Done < e.At || e.Drained < e.At || answered[e.Before] == 0 || answered[e.After] == 0 {
			t.Errorf("the upgrade %+v has no end, or one of its processes has answered no request: %v", e, answered)
		}
	}
	if !slices.IsSortedFunc(r.Events, func(a, b record.Event) int { return cmp.Compare(a.At, b.At) }) {
		t.Errorf("the events %+v are not in order", r.Events)
	}
	if len(r.Generations()) < 2 || len(r.Samples) == 0 || r.Samples[0].Descriptors == 0 || r.Samples[0].Threads == 0 || r.Samples[0].Memory == 0 {
		t.Errorf("processes %v, %d samples; want two processes and their sizes", r.Generations(), len(r.Samples))
	}
}
