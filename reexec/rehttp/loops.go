package rehttp

import "net"

// This file runs the accept loops of Serve. A server may have several: each ends when its
// listener is closed, and the server is shut down after the last.

// serve serves ln, with TLS if secure is set, until ln is closed, and tells the error.
func (t *tracker) serve(ln net.Listener, secure bool) (served <-chan error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loops++
	result := make(chan error, 1)
	go func() { // ends when ln is closed; awaitLoops waits
		if secure {
			result <- t.srv.ServeTLS(ln, "", "")
		} else {
			result <- t.srv.Serve(ln)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.loops--; t.loops == 0 {
			t.noLoops.Broadcast()
		}
	}()
	return result
}

// awaitLoops returns when every accepted connection is known, because no loop is left.
func (t *tracker) awaitLoops() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.loops > 0 {
		t.noLoops.Wait()
	}
}
