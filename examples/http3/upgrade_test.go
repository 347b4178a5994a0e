//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/e2e/proof"
	"github.com/cutover-go/cutover/examples/http3/internal/load"
	"github.com/cutover-go/cutover/examples/internal/supervised"
)

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) {
	proof.Init()
	supervised.Main(m, main)
}

// Clients ask on kept connections, and one asks for a slow answer, through ten upgrades.
func TestUpgradesLoseNoRequest(t *testing.T) {
	const upgrades = 10
	s := supervised.New(t, daemon)
	url := "https://" + s.Address("cutover-http3.socket") + "/"
	ctx, stop := context.WithCancel(s.Ctx)
	results := make(chan load.Result, 1)
	go func() { results <- load.Do(ctx, url, 6, 3, 0) }() // ends with ctx
	for i := range upgrades {
		client := load.Client(nil)
		slow, err := http.NewRequestWithContext(s.Ctx, http.MethodGet, url+"sleep?d=500ms", nil)
		s.Must(err)
		resp, err := client.RoundTrip(slow) // returns when the request is in work
		s.Must(err)
		s.Must(s.Reload(s.Ctx, s.Unit))
		text, err := io.ReadAll(resp.Body)
		if want := fmt.Sprintf(" generation=%d ", i+1); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%q answers the request in work, %v; want%s", text, err, want)
		}
		client.Close()
		if r := load.Do(s.Ctx, url, 1, 1, 20); len(r.Lost) > 0 { // the load goes on for a while
			t.Errorf("lost: %q", r.Lost)
		}
	}
	stop()
	r := <-results
	t.Logf("%d requests by %d generations, %d connections, %d begun anew by the client", r.Requests, len(r.Generations), r.Dials, r.Unsent)
	if len(r.Lost) > 0 {
		t.Errorf("lost: %q", r.Lost)
	}
	if len(r.Generations) != upgrades+1 {
		t.Errorf("answers by %v, want those of %d generations", r.Generations, upgrades+1)
	}
	s.Must(s.Stop(s.Ctx, s.Unit))
	if text, err := s.Manager.Log(s.Ctx, s.Unit); err != nil || strings.Contains(text, "deadline") || strings.Contains(text, "DATA RACE") {
		t.Errorf("the journal is %q, %v", text, err)
	}
}
