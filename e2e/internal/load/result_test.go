package load_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

func TestEachRequestIsReportedOnceItIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := inMemory(func(p *peer) {
			for p.request() {
				<-time.After(100 * time.Millisecond)
				if p.n == 1 {
					return
				}
				p.answer("version=v2 generation=3 pid=4711")
			}
		})
		var mu sync.Mutex
		var got []load.Result
		began := time.Now()
		run := load.Start(t.Context(), load.Config{Dial: dial, Classes: everySecond(3, 0), Settled: func(r load.Result) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r)
		}})
		finish(t, run)
		if len(got) != 3 {
			t.Fatalf("%d results of 3 requests", len(got))
		}
		for i, r := range got {
			if due := r.Due.Sub(began); due != time.Duration(i)*time.Second || r.Took != 100*time.Millisecond {
				t.Errorf("request %d was due after %v and took %v, want %d s and 100ms", i, due, r.Took, i)
			}
			switch {
			case i == 1 && (r.Failure == nil || r.Failure.Kind != load.NoAnswer):
				t.Errorf("request %d: %v, want no answer", i, r.Failure)
			case i != 1 && (r.Failure != nil || r.Version != "v2" || r.Generation != "3" || r.PID != 4711):
				t.Errorf("request %d: %+v, want v2, generation 3, process 4711", i, r)
			}
		}
	})
}
