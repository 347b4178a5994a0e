package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

func TestNoConnectionBeginsAfterTheLast(t *testing.T) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	s := &server{u: u}
	ctx, end := context.WithCancel(t.Context())
	if _, err := s.hold(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if s.finish() {
		t.Error("finish with an open connection: true")
	}
	end()
	s.conns.Wait()
	if !s.finish() {
		t.Error("finish without a connection: false")
	}
	if _, err := s.hold(t.Context(), nil); !errors.Is(err, errOver) {
		t.Errorf("hold after finish: %v", err)
	}
}

func TestClientsAreAskedToLeaveOneAfterTheOther(t *testing.T) {
	for _, tt := range []struct {
		open int
		most time.Duration
	}{{0, 0}, {1, apart}, {100, 100 * apart}, {1 << 20, longest}} {
		s := &server{open: tt.open}
		var last time.Duration
		for range 1000 {
			turn := s.turn()
			if turn < 0 || turn > tt.most {
				t.Fatalf("%d connections: %v, want %v at most", tt.open, turn, tt.most)
			}
			last = max(last, turn)
		}
		if last < tt.most/2 {
			t.Errorf("%d connections: %v is the longest of 1000 turns, want about %v", tt.open, last, tt.most)
		}
	}
}
