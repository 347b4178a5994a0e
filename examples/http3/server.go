package main

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/cutover-go/cutover/reexec"
)

// A server serves HTTP/3 for one generation of the program.
type server struct {
	u       *reexec.Upgrader
	handler http.Handler
	tls     *tls.Config
	conns   sync.WaitGroup // open connections

	mu   sync.Mutex
	open int  // how many connections there are
	over bool // no connection may begin any more
}

// handshakeTimeout limits the silence in a handshake; quic-go allows twice that for the
// whole handshake. The default of quic-go is 5 seconds. A server without processor time for
// so long gives the handshake up before it reads the packets that have come meanwhile, and
// the client is lost. That happens in an upgrade on a starved machine, because all clients
// make a handshake then. A client has a limit as well (5 seconds in quic-go).
const handshakeTimeout = 15 * time.Second

// serve calls Ready, serves on conn, and returns when this generation was replaced
// or stopped and its clients have left, or have had their time.
func (s *server) serve(ctx context.Context, conn *reexec.FlowConn) (err error) {
	secret, err := shareSecret(s.u)
	if err != nil {
		return err
	}
	if err := s.u.Ready(ctx); err != nil {
		return err
	}
	// Now, and not with the first upgrade: the process after a crash must find it.
	if s.u.Generation() == 1 {
		if err := s.u.Checkpoint(ctx); err != nil {
			return err
		}
	}
	t := &quic.Transport{Conn: conn, ConnectionIDGenerator: ids(conn.Owner()), ConnContext: s.hold}
	if err := secret.equip(t, s.tls); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	ln, err := t.Listen(http3.ConfigureTLSConfig(s.tls), &quic.Config{HandshakeIdleTimeout: handshakeTimeout})
	if err != nil {
		return err
	}
	// Accepting goes on in the drain: handshakes may be under way when it begins.
	life, end := context.WithCancel(ctx)
	defer end()
	accepting := make(chan struct{})
	go func() { // ends with life
		defer close(accepting)
		s.accept(life, ln)
	}()
	for {
		if err = s.u.Drain(ctx); err != nil || s.finish() {
			break
		}
	}
	if err == nil {
		// quic-go would refuse a handshake that begins now. Without an answer the client
		// repeats its first packets, and the next process reads them.
		err = conn.Close()
	}
	end()
	<-accepting
	err = errors.Join(err, ln.Close())
	s.conns.Wait() // those that are cut are told so
	return err
}

// hold keeps the generation for a connection, from its first packet on.
func (s *server) hold(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil, errOver
	}
	release := s.u.Hold()
	s.conns.Add(1)
	s.open++
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
		release()
		s.conns.Done()
	})
	return ctx, nil
}

var errOver = errors.New("this process has no connections any more")

// finish lets no connection begin any more, unless one is open. quic-go queues the first
// packet of a client before it calls hold, and Drain does not see that queue.
func (s *server) finish() (finished bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = s.open == 0
	return s.over
}

// A client that is asked to leave makes a new connection, and a handshake costs more than
// many requests. So the server asks its clients one after the other, 50 milliseconds apart
// on average, and all of them within longest.
const (
	apart   = 50 * time.Millisecond
	longest = 8 * time.Second
)

// turn returns how long one connection waits until it is asked to leave.
func (s *server) turn() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return rand.N(min(time.Duration(s.open)*apart, longest) + 1)
}

func (s *server) accept(life context.Context, ln *quic.Listener) {
	for {
		conn, err := ln.Accept(life)
		if err != nil {
			return // life is over
		}
		go s.attend(life, conn) // ends with conn and its requests
	}
}

// moment is the time for a client's next step: the first request of a new client, or the
// end of a client that was asked to leave.
const moment = time.Second

// attend serves one connection. It has an http3.Server to itself, so that it can be
// asked by GOAWAY to leave at its own time: when this generation drains, but not
// before the first request, for which the client has come.
//
// A request that has crossed with the GOAWAY is rejected, and not begun: its client
// sends it again, on a new connection (RFC 9114, 5.2).
func (s *server) attend(life context.Context, conn *quic.Conn) {
	first := make(chan struct{})
	arrived := sync.OnceFunc(func() { close(first) })
	var work sync.RWMutex // held by each request
	h := &http3.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived()
		work.RLock()
		defer work.RUnlock()
		s.handler.ServeHTTP(w, r)
	})}
	life, end := context.WithCancel(life)
	defer end()
	gone := conn.Context().Done()
	go func() { // ends with conn
		if await(gone, s.u.Draining(), nil) && await(gone, s.u.Stopping(), time.After(s.turn())) && await(gone, first, time.After(moment)) {
			_ = h.Shutdown(life) // Drain reports the requests that the end of life cuts
		}
	}()
	go func() { // as above
		// A stop waits for requests in work, and for their answers to arrive, but not
		// for clients that may be gone and have not said so.
		if await(gone, s.u.Stopping(), nil) && await(gone, nil, time.After(moment)) {
			work.Lock()
			if await(gone, nil, time.After(moment)) {
				end()
			}
		}
	}()
	defer context.AfterFunc(life, func() { _ = h.Close() })() // as above
	_ = h.ServeQUICConn(conn)                                 // says how the connection has ended
	_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}

// await waits for c or the time, and returns false if gone comes first.
func await(gone, c <-chan struct{}, t <-chan time.Time) bool {
	select {
	case <-gone:
		return false
	case <-c:
	case <-t:
	}
	return true
}
