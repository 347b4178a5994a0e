package machine_test

import (
	"context"
	"errors"
	"testing"
)

func TestDialRefusesWhatWouldBeDialledOutside(t *testing.T) {
	m := shared(t)
	if c, err := m.DialContext(t.Context(), "tcp", "localhost:7000"); err == nil {
		c.Close()
		t.Error("DialContext takes a name")
	}
	if c, err := m.DialContext(t.Context(), "tcp", "127.0.0.1:7000"); err == nil {
		c.Close()
		t.Error("something listens in an empty machine")
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	m := shared(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.DialContext(ctx, "tcp", "127.0.0.1:7000"); !errors.Is(err, context.Canceled) && err == nil {
		t.Errorf("DialContext = %v", err)
	}
}
