//go:build linux

package control_test

import (
	"errors"
	"net"
	"testing"

	"github.com/cutover-go/cutover/internal/control"
)

// Two such listeners at once have different names. They neither leave nor remove a file.
func TestListenNowhereNeedsNoName(t *testing.T) {
	for range 2 {
		l, err := control.ListenNowhere()
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan error, 1)
		go func() { // ends with Close
			_, err := l.Accept()
			accepted <- err
		}()
		if err := l.Publish(0); err != nil {
			t.Errorf("Publish: %v", err)
		}
		t.Cleanup(func() {
			if err := l.Close(true); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := <-accepted; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept after Close: %v", err)
			}
		})
	}
}
