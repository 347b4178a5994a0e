package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/coder/websocket"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

// goodbye asks a client to leave. It is a message and not a close frame (RFC 6455),
// because after a close frame the client gets no more answers. The client waits for its
// answers and then closes.
const goodbye = "goodbye"

// A server answers each message with who answers, and the message.
type server struct {
	u   *reexec.Upgrader
	web *rehttp.Server

	mu      sync.Mutex
	clients map[net.Conn]*client
}

type client struct {
	*websocket.Conn
	dismiss sync.Once
}

func newServer(u *reexec.Upgrader) *server {
	s := &server{u: u, clients: map[net.Conn]*client{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.attend)
	mux.HandleFunc("GET /counts", s.counts)
	mux.Handle("GET /healthz", rehttp.Health(u))
	s.web = &rehttp.Server{
		Upgrader: u,
		HTTP:     &http.Server{Handler: mux, ConnContext: withConn},
		Goodbye:  s.dismiss,
	}
	return s
}

// serve runs the accept loop with http.Server. rehttp's Server.Serve would do all of
// this.
func (s *server) serve(ctx context.Context, ln net.Listener) error {
	ln, err := s.web.Wrap(ln)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- s.web.HTTP.Serve(ln) }() // ends when ln is closed, which each path below does
	if err := s.u.Ready(ctx); err != nil {
		_ = ln.Close() // the error of Ready says why
		<-served
		return err
	}
	defer context.AfterFunc(ctx, s.u.Stop)()
	select {
	case <-s.u.Draining():
	case err := <-served:
		select {
		case <-s.u.Draining(): // a stop has closed the listener
			served <- err
		default: // the accept loop has ended
			return errors.Join(err, s.web.HTTP.Close())
		}
	}
	late := s.web.Drain(context.Background())
	<-served // says that the listener is closed
	return late
}

type connKey struct{}

// withConn lets a handler know its connection by the value that dismiss gets.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// attend serves one client until that leaves.
func (s *server) attend(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has told the client
	}
	defer c.CloseNow()
	conn := r.Context().Value(connKey{}).(net.Conn)
	s.enter(conn, c)
	defer s.leave(conn)
	select {
	case <-s.u.Draining(): // dismiss may have come before enter
		s.dismiss(conn)
	default:
	}
	ctx := context.Background() // that of the request ends when we return, and not with the connection
	for {
		kind, message, err := c.Read(ctx)
		if err != nil {
			return // the client has gone
		}
		answer := fmt.Sprintf("generation=%d pid=%d %s", s.u.Generation(), os.Getpid(), message)
		if c.Write(ctx, kind, []byte(answer)) != nil {
			return
		}
	}
}

func (s *server) enter(conn net.Conn, c *websocket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[conn] = &client{Conn: c}
}

func (s *server) leave(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.clients, conn)
}

// dismiss asks the client on conn to leave, once. One that does not read holds us up
// no longer than its connection is open.
func (s *server) dismiss(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[conn]; c != nil {
		go c.dismiss.Do(func() { // ends with the connection
			_ = c.Write(context.Background(), websocket.MessageText, []byte(goodbye)) // one that has gone needs no word
		})
	}
}

// counts says how many clients this generation has.
func (s *server) counts(w http.ResponseWriter, _ *http.Request) {
	c := s.web.Counts()
	fmt.Fprintf(w, "generation=%d hijacked=%d\n", s.u.Generation(), c.Hijacked)
}
