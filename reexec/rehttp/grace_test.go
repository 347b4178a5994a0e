package rehttp

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestWhoHasJustConnectedIsGivenMoreTime than who was served before.
func TestWhoHasJustConnectedIsGivenMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{conns: map[net.Conn]*tracked{}, hurried: true}
		ended := func(fresh bool) <-chan struct{} {
			ours, theirs := net.Pipe()
			tr.conns[ours] = &tracked{idle: true, fresh: fresh}
			tr.setIdle(ours, true)
			end := make(chan struct{})
			go func() { // ends when closeIdle has closed the connection
				defer close(end)
				_, _ = theirs.Read(make([]byte, 1)) // EOF
			}()
			return end
		}
		began := time.Now()
		served, fresh := ended(false), ended(true)
		<-served
		if after := time.Since(began); after != idleGrace {
			t.Errorf("a connection that was served before is closed after %v, want %v", after, idleGrace)
		}
		<-fresh
		if after := time.Since(began); after != freshGrace {
			t.Errorf("a connection on which nothing has come is closed after %v, want %v", after, freshGrace)
		}
	})
}
