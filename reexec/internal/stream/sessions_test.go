package stream

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/endings"
	"github.com/cutover-go/cutover/reexec/internal/gate"
)

// A site is a listener whose sessions end with the generation.
type site struct {
	testing.TB
	*sessions
	gate    *gate.Listener
	drain   *drain.Counter
	endings *endings.Current
}

// newSite returns a site that accepts. It calls tell when a drain begins and ends.
func newSite(t *testing.T, tell func(draining bool)) *site {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	d := drain.NewCounter(func() {})
	g := gate.NewListener("a", ln, d)
	s := &site{TB: t, gate: g, drain: d, endings: endings.New()}
	s.sessions = newSessions(g, s.endings)
	over, watched := make(chan struct{}), make(chan struct{})
	go func() { // joined by Cleanup
		defer close(watched)
		s.watch(tell, true, over)
	}()
	t.Cleanup(func() {
		close(over)
		<-watched
		_ = s.Close() // the test has the error
	})
	g.Open()
	return s
}

// visit connects a client, and returns both ends.
func (s *site) visit() (client, server net.Conn) {
	s.Helper()
	client, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		s.Fatal(err)
	}
	if server, err = s.Accept(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _, _ = client.Close(), server.Close() }) // may be closed
	return client, server
}

// goesOn wants that the server reads what the client writes.
func (s *site) goesOn(client, server net.Conn) {
	s.Helper()
	_ = server.SetReadDeadline(time.Now().Add(time.Millisecond)) // fails below
	if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Errorf("Read = %v, although the client has written nothing", err)
	}
	_ = server.SetReadDeadline(time.Time{}) // as above
	if _, err := client.Write([]byte("x")); err != nil {
		s.Error(err)
	}
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		s.Errorf("the session has ended: %v", err)
	}
}

// ends wants that the session ends although its client talks.
func (s *site) ends(client, server net.Conn) {
	s.Helper()
	ended := make(chan struct{})
	go func() { // ends with the session
		_, _ = io.Copy(io.Discard, server) // also an error is the end
		close(ended)
	}()
	late := time.After(time.Minute)
	for {
		_, _ = client.Write([]byte("x")) // the server may have closed it
		select {
		case <-ended:
			return
		case <-late:
			s.Error("the session does not end")
			_ = server.Close() // ends the goroutine
			return
		case <-time.After(10 * time.Millisecond): // the client talks
		}
	}
}

func TestSessionThatIsAcceptedInAStopEnds(t *testing.T) {
	s := newSite(t, func(bool) {})
	s.mu.Lock() // Accept has the connection, and does not return yet
	client, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	accepted := make(chan net.Conn, 1)
	go func() { // ends when the lock is free
		c, err := s.Accept()
		if err != nil {
			t.Error(err)
		}
		accepted <- c
	}()
	for s.drain.Count() == 0 {
		time.Sleep(time.Millisecond) // the kernel's accept returns
	}
	s.gate.Shut()
	s.endings.Stops()
	s.mu.Unlock()
	s.ends(client, <-accepted)
}

func TestSessionThatCoversACrashEndsWhenTheGatesShut(t *testing.T) {
	s := newSite(t, func(bool) {})
	s.gate.Shut()
	s.endings.Drains()
	s.endings.Stops() // the successor has died
	s.gate.Open()
	client, server := s.visit()
	s.goesOn(client, server)
	s.gate.Shut()
	s.ends(client, server)
}

// TestSessionThatComesAfterTheEndOfADrainGoesOn has a program that still works on the news of the drain.
func TestSessionThatComesAfterTheEndOfADrainGoesOn(t *testing.T) {
	told, works := make(chan bool), make(chan struct{})
	s := newSite(t, func(draining bool) {
		told <- draining
		if draining {
			<-works
		}
	})
	s.gate.Shut()
	s.endings.Drains()
	<-told
	s.endings.Resume() // the successor has died
	s.gate.Open()
	client, server := s.visit()
	close(works)
	if <-told {
		t.Error("the program is told of a second drain")
	}
	s.goesOn(client, server)
}
