package record_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

const ms = time.Millisecond

// upgraded is a report of one upgrade from process 10 to process 20.
func upgraded() *record.Report {
	return &record.Report{
		Title: "web.service", Began: time.Unix(1700000000, 0).UTC(), Elapsed: 900 * ms,
		Loads: []record.Load{{Name: "HTTP/1.1, new connections", Protocol: "HTTP/1.1", Address: "127.0.0.1:80", Rate: 100}},
		Requests: []record.Request{
			{Due: 50 * ms, Took: ms, PID: 10},
			{Due: 250 * ms, Took: 2 * ms, Failure: record.Refused, Error: "connection refused"},
		},
		Events: []record.Event{
			{Kind: record.Deploy, At: 90 * ms, Done: 95 * ms},
			{Kind: record.Reload, At: 100 * ms, Done: 200 * ms, Drained: 300 * ms, Before: 10, After: 20},
		},
	}
}

func TestAPhaseIsThePartOfTheUpgrade(t *testing.T) {
	e := upgraded().Events[1]
	for at, want := range map[time.Duration]record.Phase{
		50 * ms: record.Before, 150 * ms: record.Starting, 250 * ms: record.Draining, 350 * ms: record.After,
	} {
		if got := e.Phase(at); got != want {
			t.Errorf("Phase(%v) = %q, want %q", at, got, want)
		}
	}
	e.Drained = 0
	if got := e.Phase(350 * ms); got != record.Draining {
		t.Errorf("Phase without an end of the drain = %q, want %q", got, record.Draining)
	}
}

func TestAReportKnowsTheMainProcessAtEachTime(t *testing.T) {
	r := upgraded()
	for at, want := range map[time.Duration]int{150 * ms: 10, 200 * ms: 20, 800 * ms: 20} {
		if got := r.MainAt(at); got != want {
			t.Errorf("MainAt(%v) = %d, want %d", at, got, want)
		}
	}
	if got := r.Generations(); !slices.Equal(got, []int{10, 20}) {
		t.Errorf("Generations() = %v, want 10 and 20", got)
	}
	if lost := r.Lost(); len(lost) != 1 || lost[0].Failure != record.Refused {
		t.Errorf("Lost() = %v, want the refused request", lost)
	}
	if e, ok := r.Event(250 * ms); !ok || e.Kind != record.Reload {
		t.Errorf("Event(250ms) = %v, %v, want the reload", e, ok)
	}
	if e, ok := r.Event(95 * ms); ok {
		t.Errorf("Event(95ms) = %v, want none: a deployment is no upgrade", e)
	}
}

func TestAReportIsTheSameAfterJSON(t *testing.T) {
	want := upgraded()
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := new(record.Report)
	if err := json.Unmarshal(text, got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("after JSON: %+v, %v\nwant %+v", got, err, want)
	}
}
