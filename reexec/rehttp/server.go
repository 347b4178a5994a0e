package rehttp

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

// A Server is [Serve] for programs that want more of it: to say goodbye to hijacked
// connections, to know what is in work, or to run their accept loops themselves.
// Upgrader and HTTP must be set, and nothing may be changed after the first call.
type Server struct {
	Upgrader *reexec.Upgrader
	HTTP     *http.Server // taken over as by [Serve]

	// Goodbye, if not nil, is called for each hijacked connection that is there when
	// this generation begins to drain, so that the program can end it in the words of
	// its protocol (1001, Going Away, in a WebSocket). Each call has a goroutine, beside
	// the handler's. A panic is logged to HTTP.ErrorLog, as net/http does it for
	// handlers. Long answers look at Upgrader.Draining themselves.
	Goodbye func(net.Conn)

	once sync.Once
	t    *tracker
	err  error // in place of t
}

// generation is what a Server needs of its Upgrader.
type generation interface {
	Ready(context.Context) error
	Stop()
	Draining() <-chan struct{}
	Stopping() <-chan struct{}
	Resumed() <-chan struct{}
	Hold() (release func())
	DrainTime() time.Duration
	Drain(context.Context) error

	ReceiveIdle(name string, limit func(data []byte) time.Duration, formats ...string) error
	CanMove(name, format string) bool
	Move(ctx context.Context, name string, c net.Conn, format string, data []byte) error
	Offer(name string, c net.Conn, format string, data []byte, done func(error)) (withdraw func() bool)
}

// tracker takes the HTTP server over, once.
func (s *Server) tracker() (*tracker, error) {
	s.once.Do(func() {
		if s.t == nil {
			s.t, s.err = trackerOf(s.Upgrader, s.HTTP)
		}
		if s.err == nil && s.Goodbye != nil {
			s.t.mu.Lock()
			defer s.t.mu.Unlock()
			s.t.goodbyes = append(s.t.goodbyes, s.Goodbye)
		}
	})
	return s.t, s.err
}

// Serve is [Serve].
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	t, err := s.tracker()
	if err != nil {
		return err
	}
	defer t.attend()()
	ln, _ = t.wrap(ln) // too late to receive, after another server's Ready: its connections stay
	served := t.serve(ln)

	if err := t.u.Ready(ctx); err != nil {
		_ = ln.Close() // makes Serve return, with an error that says just that
		<-served
		if errors.Is(err, reexec.ErrStopped) {
			err = nil // asked to end before it served, or only tried
		}
		return errors.Join(err, s.HTTP.Close())
	}
	defer context.AfterFunc(ctx, t.u.Stop)()
	select {
	case <-t.u.Draining():
	case err := <-served:
		switch {
		case closed(t.u.Draining()): // a stop has closed the listener
		case errors.Is(err, http.ErrServerClosed):
			return err // the program's own Shutdown waits for the answers
		case t.isShared():
			return err // the other listeners are served
		default:
			return errors.Join(err, s.HTTP.Close())
		}
	}
	return t.finish(context.Background())
}

// Wrap is for a program that has its own accept loop, or calls HTTP.Serve or ServeTLS
// itself. It returns the listener to do that with, and must be called before
// Upgrader.Ready, or connections do not move, which is the error. The program calls
// Drain when Upgrader.Draining is closed. One that calls Serve for several servers,
// and so Ready in each, has each of them wrap its listener before the first Serve.
func (s *Server) Wrap(ln net.Listener) (net.Listener, error) {
	t, err := s.tracker()
	if err != nil {
		return nil, err
	}
	return t.wrap(ln)
}

// Drain does for a program that uses Wrap what Serve does when this generation ends:
// it moves what can move, waits for the answers, and closes the listeners and the HTTP
// server. It returns what Serve would. The end of ctx cuts what is left.
func (s *Server) Drain(ctx context.Context) error {
	t, err := s.tracker()
	if err != nil {
		return err
	}
	defer t.attend()()
	return t.finish(ctx)
}

// Counts says what the server has in work.
func (s *Server) Counts() Counts {
	t, err := s.tracker()
	if err != nil {
		return Counts{}
	}
	return t.counts()
}

// Counts are numbers of what a server has.
type Counts struct {
	Idle     int // connections without a request
	Requests int // that are not answered to the end
	Hijacked int // connections that were hijacked and are not closed
}
