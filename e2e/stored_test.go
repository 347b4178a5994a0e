package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The first process crashes without a Checkpoint.
func TestTheStateOfTheStartOutlivesACrash(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(server(t, "v1"))
	s.get("/hit") // the counter of the start is 0, and this is lost
	s.must(s.machine.Signal(s.mainPID(), 9))
	s.awaitRestart(1)
	if text, err := s.machine.Log(s.ctx, unitName); err != nil || strings.Contains(text, "state") {
		t.Errorf("the journal says %q, %v", text, err)
	}
	if got := s.get("/hit"); got.rest != "hits=1" {
		t.Errorf("after the crash: %s, want hits=1", got.rest)
	}
	if n := s.show("NFileDescriptorStore"); n != "1" {
		t.Errorf("%s entries in the fd store, want the counter alone", n)
	}
}

// The main process calls Checkpoint while its successor is on trial. The next process
// restores the state of the successor.
func TestAnOlderStateDoesNotWinAfterATrial(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(server(t, "v1"), "-trial", "6s")
	kept := &http.Client{Transport: &http.Transport{DialContext: s.dial, MaxConnsPerHost: 1}}
	defer kept.CloseIdleConnections()
	ask := func(path string) string {
		t.Helper()
		r, err := kept.Get("http://" + s.address + path)
		s.must(err)
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		s.must(err)
		return strings.TrimSpace(string(text))
	}
	ask("/hit?checkpoint")
	s.deploy(server(t, "v2"))
	reloaded := s.reloading()
	s.awaitVersion("v2")
	for n := 2; n <= 4; n++ { // the main process still has this connection
		if got := ask("/hit?checkpoint"); !strings.Contains(got, "version=v1") || !strings.HasSuffix(got, fmt.Sprintf("hits=%d", n)) {
			t.Errorf("on trial: %s, want hits=%d of v1", got, n)
		}
	}
	s.must(<-reloaded)
	if got := s.get("/hit"); got.version != "v2" || got.rest != "hits=2" {
		t.Errorf("after the trial: %+v, want hits=2 of v2", got)
	}
	s.must(s.machine.Restart(s.ctx, unitName))
	if got := s.get("/hit"); got.rest != "hits=3" {
		t.Errorf("after a restart: %s, want hits=3", got.rest)
	}
	if n := s.show("NFileDescriptorStore"); n != "1" {
		t.Errorf("%s entries in the fd store, want the counter alone", n)
	}
}
