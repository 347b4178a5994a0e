package load_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// numbered answers each request with the id of its query, and the third with that of the second.
func numbered(p *peer) {
	for {
		r, err := http.ReadRequest(p.br)
		if err != nil {
			return
		}
		id := r.URL.Query().Get("id")
		if id == "kept-3" {
			id = "kept-2"
		}
		p.answer(line + " id=" + id)
	}
}

func TestAnswerToAnotherRequestIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var failed []load.Failure
		c := load.Config{Dial: inMemory(numbered), Failed: func(f load.Failure) {
			mu.Lock()
			defer mu.Unlock()
			failed = append(failed, f)
		}}
		c.Classes = []load.Class{{Name: "kept", Path: "/?a=b", Method: "GET", Rate: 1, Count: 4, Conns: 1, Numbered: true}}
		began := time.Now()
		s := finish(t, load.Start(t.Context(), c)).Classes[0]
		wantFailures(t, s, map[load.Kind]int{load.Malformed: 1})
		if s.Answered != 3 || len(failed) != 1 {
			t.Fatalf("answered %d, Failed was called %d times, want 3 and 1", s.Answered, len(failed))
		}
		if f := failed[0]; f.ID != "kept-3" || f.Due.Before(began) || f.Opened.Before(began) || f.Opened.After(f.Written) || f.Written.Before(f.Due) {
			t.Errorf("Failed was told %+v of a connection opened at %v, want kept-3", f, f.Opened)
		}
	})
}

func TestEachProtocolNumbersItsRequests(t *testing.T) {
	for _, protocol := range []load.Protocol{load.HTTP1, load.HTTP2} {
		var ids sync.Map
		c, class := serveTLS(t, protocol, 20, 2, func(w http.ResponseWriter, r *http.Request) {
			id := r.URL.Query().Get("id")
			if _, again := ids.LoadOrStore(id, true); again || id == "" {
				http.Error(w, fmt.Sprintf("id %q again", id), http.StatusConflict)
				return
			}
			fmt.Fprintln(w, line+" id="+id)
		})
		class.Numbered = true
		c.Failed = func(f load.Failure) { t.Error(f) }
		if s := finish(t, load.Start(t.Context(), c)).Classes[0]; s.Answered != 20 {
			t.Errorf("protocol %d: %d of 20 requests answered", protocol, s.Answered)
		}
	}
}
