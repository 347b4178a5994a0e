package rehttp3

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// upgrader has the methods of *reexec.Upgrader that this package calls.
type upgrader interface {
	Draining() <-chan struct{}
	Stopping() <-chan struct{}
	Resumed() <-chan struct{}
	Drain(context.Context) error
	Hold() (release func())
}

// engine is an Upgrader as an upgrader.
type engine struct {
	protocol.Engine
	of *reexec.Upgrader
}

// flowConn is the socket of Upgrader.ListenFlows with the number of this process.
type flowConn struct {
	net.PacketConn
	owner uint32
}

// handshakeTimeout limits the silence in a handshake; quic-go allows twice that for the
// whole handshake. The default of quic-go is 5 seconds. A server without processor time for
// so long gives the handshake up before it reads the packets that have come meanwhile, and
// the client is lost. That happens in an upgrade on a starved machine, because all clients
// make a handshake then. A client has a limit as well (5 seconds in quic-go).
const handshakeTimeout = 15 * time.Second

// moment is the time for a client's next step: the first request of a new client, or the
// end of a client that was asked to leave.
const moment = time.Second

// An endpoint serves QUIC on one socket, for one generation of the program.
type endpoint struct {
	name   string
	u      upgrader
	tls    *tls.Config
	config *quic.Config
	secret func() ([]byte, error)
	ids    ids

	serveConn func(life context.Context, conn *quic.Conn) // serves one connection, until life ends
	work      func() []string                             // describes the work in progress
	serving   func(*quic.Listener) (end func())           // called before the first connection, or nil

	conns sync.WaitGroup // open connections
	mu    sync.Mutex
	open  int  // how many connections there are
	over  bool // no connection may begin any more
}

// serve serves on conn, and returns when this generation was replaced or stopped and its
// clients have left, or are cut at the drain deadline.
func (e *endpoint) serve(conn flowConn) (err error) {
	t, err := e.transport(conn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	ln, err := t.Listen(e.tls, e.config)
	if err != nil {
		return fmt.Errorf("rehttp3: service %q: %w", e.name, err)
	}
	if e.serving != nil {
		defer e.serving(ln)()
	}
	// Accepting goes on in the drain: handshakes may be under way when it begins.
	life, end := context.WithCancel(context.Background())
	defer end()
	accepting := make(chan struct{})
	go func() { // ends with life
		defer close(accepting)
		e.accept(life, ln)
	}()
	var late error
	for {
		if late = e.u.Drain(context.Background()); late != nil || e.finish() {
			break
		}
	}
	outcome := e.outcome(late)
	if late != nil {
		end() // tells the clients
		e.await(moment)
	}
	// quic-go would refuse a handshake that begins now. Without an answer the client
	// repeats its first packets, and the next process reads them.
	err = conn.Close()
	end()
	<-accepting
	return errors.Join(outcome, err, ln.Close())
}

// transport returns the transport of conn, with the keys that all generations know.
func (e *endpoint) transport(conn flowConn) (*quic.Transport, error) {
	secret, err := e.secret()
	if err != nil {
		return nil, err
	}
	reset, err1 := derive(secret, "stateless reset")
	token, err2 := derive(secret, "address token")
	id, err3 := derive(secret, "connection id")
	if err := errors.Join(err1, err2, err3, e.ids.setKey(id[:16])); err != nil {
		return nil, err
	}
	return &quic.Transport{
		Conn:                  conn.PacketConn,
		ConnectionIDGenerator: generator{&e.ids, conn.owner},
		StatelessResetKey:     (*quic.StatelessResetKey)(&reset),
		TokenGeneratorKey:     (*quic.TokenGeneratorKey)(&token),
		ConnContext:           e.hold,
	}, nil
}

// derive derives a key for one purpose.
func derive(secret []byte, purpose string) (key [32]byte, err error) {
	b, err := hkdf.Key(sha256.New, secret, nil, "cutover rehttp3 "+purpose, len(key))
	copy(key[:], b)
	return key, err
}

func (e *endpoint) accept(life context.Context, ln *quic.Listener) {
	for {
		conn, err := ln.Accept(life)
		if err != nil {
			return // life is over
		}
		go func() { // ends with conn and its requests
			e.serveConn(life, conn)
			_ = conn.CloseWithError(0, "") // has no effect on a connection that was closed
		}()
	}
}

// hold keeps the generation for a connection, from its first packet on.
func (e *endpoint) hold(ctx context.Context, _ *quic.ClientInfo) (context.Context, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over {
		return nil, errOver
	}
	release := e.u.Hold()
	e.conns.Add(1)
	e.open++
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		e.open--
		e.mu.Unlock()
		release()
		e.conns.Done()
	})
	return context.WithValue(ctx, upgraderKey{}, e.u), nil
}

var errOver = errors.New("rehttp3: this process has no connections any more")

// finish lets no connection begin any more, unless one is open. quic-go queues the first
// packet of a client before it calls hold, and Drain does not see that queue.
func (e *endpoint) finish() (finished bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = e.open == 0
	return e.over
}

// await waits for the end of the connections, at most d.
func (e *endpoint) await(d time.Duration) {
	ended := make(chan struct{})
	go func() { // ends with the transport
		e.conns.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(d):
	}
}

// outcome returns the result of Drain as a service reports it.
func (e *endpoint) outcome(late error) error {
	if !errors.Is(late, reexec.ErrDrainDeadline) {
		return late
	}
	work := e.work()
	if len(work) == 0 {
		return nil // the work of another service was cut
	}
	return &protocol.CutError{Service: e.name, Work: work, Err: late}
}
