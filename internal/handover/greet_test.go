//go:build linux

package handover_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cutover-go/cutover/internal/handover"
)

func TestGreetAgreesOnAVersion(t *testing.T) {
	tests := []struct {
		name, theirs string
		why          string // "" if both can talk
	}{
		{"of the same version", `{"min":1,"max":1,"pid":7,"generation":2}`, ""},
		{"newer, and still speaks version 1", `{"min":1,"max":9,"pid":7,"generation":2,"more":true}`, ""},
		{"older", `{"min":0,"max":0,"pid":7}`, "versions 1 to 1, the other 0 to 0"},
		{"newer", `{"min":2,"max":3,"pid":7}`, "versions 1 to 1, the other 2 to 3"},
		{"without a version", `{"pid":7}`, "the other 0 to 0"},
		{"upside down", `{"min":3,"max":1}`, "the other 3 to 1"},
		{"no greeting", "", "instead of Hello"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, raw := wire(t)
			frame := "CO\x01\x01" + tt.theirs
			if tt.theirs == "" {
				frame = "CO\x01\x06{}"
			}
			writeRaw(t, raw, "CO\x01\xc8not for us", nil) // a hint may come at any time
			writeRaw(t, raw, frame, nil)
			theirs, version, err := c.Greet(context.Background(), handover.Hello{PID: 3})
			if tt.why == "" && (err != nil || version != 1 || theirs.PID != 7 || theirs.Generation != 2) {
				t.Errorf("Greet = %+v, %d, %v", theirs, version, err)
			}
			if tt.why != "" && (!errors.Is(err, handover.ErrProtocol) || !strings.Contains(err.Error(), tt.why)) {
				t.Errorf("Greet = %v, want ErrProtocol and %q", err, tt.why)
			}
			if frame, _ := readRaw(t, raw); frame != "CO\x01\x01"+`{"min":1,"max":1,"pid":3,"ppid":0}` {
				t.Errorf("greeted with %q", frame)
			}
		})
	}
}

func TestGreetCarriesTheReasonOfAFailure(t *testing.T) {
	a, b := pair(t)
	if err := b.Send(context.Background(), handover.Failed{Reason: "no configuration"}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Greet(context.Background(), handover.Hello{}); err == nil || !strings.Contains(err.Error(), "no configuration") {
		t.Errorf("Greet = %v, want the other side's reason", err)
	}
}

// The other side ended before the greeting.
func TestGreetReturnsTheReasonOfAPeerThatHasEnded(t *testing.T) {
	a, b := pair(t)
	if err := b.Send(context.Background(), handover.Failed{Reason: "no configuration"}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Greet(context.Background(), handover.Hello{}); err == nil || !strings.Contains(err.Error(), "no configuration") {
		t.Errorf("Greet = %v, want the other side's reason", err)
	}
}

// The successor finds both messages when it starts, and waits for nothing.
func TestDescriptorsWaitInTheLineBeforeTheOtherSideGreets(t *testing.T) {
	line, raw := wire(t)
	entries, fds := set(t, 1)
	done := make(chan error, 1)
	go func() { // joined below
		_, rest, err := line.GreetWith(t.Context(), handover.Hello{PID: 3}, entries, conns(fds))
		if err == nil {
			err = rest.Finish(t.Context())
		}
		done <- err
	}()
	if frame, _ := readRaw(t, raw); frame != "CO\x01\x01"+`{"min":1,"max":1,"pid":3,"ppid":0}` {
		t.Errorf("first message: %q", frame)
	}
	if frame, n := readRaw(t, raw); frame != "CO\x01\x02"+`{"entries":[{"name":"socket","index":0,"origin":"own"}],"last":true}` || n != 1 {
		t.Errorf("second message: %q with %d descriptors", frame, n)
	}
	writeRaw(t, raw, "CO\x01\x01"+`{"min":1,"max":1,"pid":7}`, nil)
	writeRaw(t, raw, "CO\x01\x03{}", nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A successor that fails before it has read the descriptors still tells why.
func TestGreetWithDescriptorsReturnsTheReasonOfAPeerThatHasEnded(t *testing.T) {
	a, b := pair(t)
	if err := b.Send(t.Context(), handover.Failed{Reason: "no configuration"}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	entries, fds := set(t, 1)
	if _, _, err := a.GreetWith(t.Context(), handover.Hello{}, entries, conns(fds)); err == nil || !strings.Contains(err.Error(), "no configuration") {
		t.Errorf("GreetWith = %v, want the other side's reason", err)
	}
}
