package recorder_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

func classes() []load.Class { return []load.Class{{Name: "kept", Conns: 2}, {Name: "new", Rate: 5}} }

func TestRequestsAreEnteredWithTheirLoadAndResult(t *testing.T) {
	r := recorder.New("web", "systemd 252", classes())
	now := time.Now()
	r.Settled(load.Result{Class: "new", Due: now, Took: time.Millisecond, Version: "v2", Generation: "3", PID: 7})
	r.Settled(load.Result{Class: "kept", Due: now, Took: time.Second, Failure: &load.Failure{Kind: load.NoAnswer, Reused: true, Err: os.ErrClosed}})
	got := r.Report()
	if len(got.Requests) != 2 || len(got.Loads) != 2 || got.Loads[1].Rate != 5 || got.Environment.Manager != "systemd 252" {
		t.Fatalf("got %+v", got)
	}
	if q := got.Requests[0]; q.Load != 1 || q.Generation != 3 || q.PID != 7 || q.Lost() {
		t.Errorf("the answered request is %+v", q)
	}
	if q := got.Requests[1]; q.Load != 0 || q.Failure != record.EOF || !q.Kept || q.Error != os.ErrClosed.Error() {
		t.Errorf("the lost request is %+v", q)
	}
	if ended, lost := r.Count(); ended != 2 || lost != 1 {
		t.Errorf("Count() = %d, %d, want 2, 1", ended, lost)
	}
}

func TestTheEndOfAReplacedProcessIsTheEndOfTheDrain(t *testing.T) {
	cat := exec.CommandContext(t.Context(), "cat")
	in, err := cat.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cat.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cat.Process.Pid
	r := recorder.New("web", "", classes())
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { r.Watch(ctx, recorder.Host) })
	r.Settled(load.Result{Class: "new", PID: pid})
	r.Event(record.Event{Kind: record.Reload, At: 1, Before: pid, After: pid + 1})
	wait(t, func() bool { return len(r.Report().Samples) > 0 })
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cat.Wait(); err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return r.Report().Events[0].Drained > 0 })
	cancel()
	watch.Wait()
	if s := r.Report().Samples[0]; s.PID != pid || s.Memory == 0 || s.Descriptors < 3 {
		t.Errorf("the first sample is %+v", s)
	}
}

// wait returns when what holds.
func wait(t *testing.T, what func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !what(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute")
		}
	}
}

func TestReportIsWrittenAsJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.json")
	r := recorder.New("web", "none", classes())
	if err := recorder.Write(t.Context(), file, r.Report()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	var got record.Report
	if err := json.Unmarshal(text, &got); err != nil || got.Title != "web" {
		t.Errorf("title %q, %v", got.Title, err)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestEventsOfStoriesAreInTheOrderInWhichTheyBegan(t *testing.T) {
	r := recorder.Of("web", "none", []record.Load{{Name: "sessions"}})
	r.Story(record.Story{Name: "reload", Verdict: record.Passed})
	for _, at := range []time.Duration{3, 1, 2} {
		r.Event(record.Event{Kind: record.Reload, At: at})
		r.Enter(record.Request{Due: at})
	}
	got := r.Report()
	if e := got.Events; len(e) != 3 || e[0].At != 1 || e[1].At != 2 || e[2].At != 3 || len(got.Stories) != 1 {
		t.Errorf("got %+v", got)
	}
	if late := r.Since(2); len(late) != 2 || late[0].Due != 3 || late[1].Due != 2 {
		t.Errorf("requests since 2: %+v", late)
	}
}
