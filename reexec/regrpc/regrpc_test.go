package regrpc

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// fakeUpgrader is an Upgrader that the test drives.
type fakeUpgrader struct {
	mu                sync.Mutex
	draining, resumed chan struct{}
	drained           chan error
}

func newFake() *fakeUpgrader {
	return &fakeUpgrader{draining: make(chan struct{}), resumed: make(chan struct{}), drained: make(chan error, 1)}
}

func (f *fakeUpgrader) Draining() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.draining
}

func (f *fakeUpgrader) Resumed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.resumed
}

func (f *fakeUpgrader) Drain(context.Context) error { return <-f.drained }
func (f *fakeUpgrader) Hold() func()                { return func() {} }

func (f *fakeUpgrader) resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.resumed)
	f.draining, f.resumed = make(chan struct{}), make(chan struct{})
}

// house is a service under test, whose only gRPC service is the health service.
type house struct {
	testing.TB
	*fakeUpgrader
	ln     net.Listener
	made   chan struct{} // gets an element for each grpc.Server
	result chan error
}

func newHouse(t *testing.T, wrap func(net.Listener) net.Listener) *house {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t, newFake(), ln, make(chan struct{}, 10), make(chan error, 1)}
	s := &service{name: "grpc", u: h, register: func(*grpc.Server) { h.made <- struct{}{} }}
	s.calls.u = h
	go func() { h.result <- s.serve(wrap(ln)) }() // joined by the test
	<-h.made
	return h
}

func asItIs(ln net.Listener) net.Listener { return ln }

func (h *house) dial() healthpb.HealthClient {
	h.Helper()
	c, err := grpc.NewClient("passthrough:///"+h.ln.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { c.Close() })
	return healthpb.NewHealthClient(c)
}

func (h *house) answers(c healthpb.HealthClient) {
	h.Helper()
	if _, err := c.Check(h.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		h.Error(err)
	}
}

func (h *house) watch() grpc.ServerStreamingClient[healthpb.HealthCheckResponse] {
	h.Helper()
	w, err := h.dial().Watch(h.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		h.Fatal(err)
	}
	h.reads(w, healthpb.HealthCheckResponse_SERVING)
	return w
}

func (h *house) reads(w grpc.ServerStreamingClient[healthpb.HealthCheckResponse], want healthpb.HealthCheckResponse_ServingStatus) {
	h.Helper()
	if r, err := w.Recv(); err != nil || r.Status != want {
		h.Errorf("watch gets %v, %v, want %v", r, err, want)
	}
}

// drain returns when the next server gets the connections.
func (h *house) drain() {
	close(h.draining)
	<-h.made
}

func TestHealthIsNotServingInAGenerationThatDrains(t *testing.T) {
	h := newHouse(t, asItIs)
	w := h.watch()
	h.drain()
	h.reads(w, healthpb.HealthCheckResponse_NOT_SERVING)
	if _, err := w.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("watch ends with %v, want Unavailable", err)
	}
	h.drained <- nil
	if err := <-h.result; err != nil {
		t.Error(err)
	}
}

func TestAGenerationServesAgainAfterItsSuccessorDied(t *testing.T) {
	h := newHouse(t, asItIs)
	for range 2 {
		h.drain()
		h.answers(h.dial())
		h.resume()
		<-h.made
		h.answers(h.dial())
	}
	w := h.watch() // of a server of the third period
	h.drain()
	h.reads(w, healthpb.HealthCheckResponse_NOT_SERVING)
	h.drained <- nil
	if err := <-h.result; err != nil {
		t.Error(err)
	}
}

// porter keeps a connection before Accept returns it, as a limiter may for a moment.
type porter struct {
	net.Listener
	came, goOn chan struct{}
}

func (p *porter) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err == nil {
		p.came <- struct{}{}
		<-p.goOn
	}
	return c, err
}

func TestAConnectionThatAcceptReturnsLateIsServed(t *testing.T) {
	p := &porter{came: make(chan struct{}, 1), goOn: make(chan struct{})}
	h := newHouse(t, func(ln net.Listener) net.Listener { p.Listener = ln; return p })
	c := h.dial()
	answered := make(chan error, 1)
	go func() { // joined below
		_, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{})
		answered <- err
	}()
	<-p.came
	h.drain()
	close(p.goOn)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	h.drained <- nil
	if err := <-h.result; err != nil {
		t.Error(err)
	}
}

// slowAddr is the address of a listener. grpc asks for it between Accept and the first use of a
// connection; held makes the next question wait.
type slowAddr struct {
	net.Addr
	held       atomic.Bool
	came, goOn chan struct{}
}

func (a *slowAddr) String() string {
	if a.held.CompareAndSwap(true, false) {
		close(a.came)
		<-a.goOn
	}
	return a.Addr.String()
}

type slowListener struct {
	net.Listener
	addr *slowAddr
}

func (l slowListener) Addr() net.Addr { return l.addr }

// GracefulStop would close the connection, which Accept has returned and grpc has not used.
func TestAConnectionThatGRPCHasNotUsedIsServed(t *testing.T) {
	a := &slowAddr{came: make(chan struct{}), goOn: make(chan struct{})}
	h := newHouse(t, func(ln net.Listener) net.Listener { a.Addr = ln.Addr(); return slowListener{ln, a} })
	h.answers(h.dial()) // the server has registered its address
	c := h.dial()
	a.held.Store(true)
	answered := make(chan error, 1)
	go func() { // joined below
		_, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{})
		answered <- err
	}()
	<-a.came
	h.drain()
	time.Sleep(50 * time.Millisecond) // time for a GracefulStop that does not wait
	close(a.goOn)
	if err := <-answered; err != nil {
		t.Error(err)
	}
	h.drained <- nil
	if err := <-h.result; err != nil {
		t.Error(err)
	}
}

func TestCallsAreCutAtTheDrainDeadline(t *testing.T) {
	h := newHouse(t, asItIs)
	silent, err := net.Dial("tcp", h.ln.Addr().String()) // GOAWAY waits for it, so the watch goes on
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	w := h.watch()
	h.drain()
	h.drained <- reexec.ErrDrainDeadline
	var cut *protocol.CutError
	if err := <-h.result; !errors.As(err, &cut) || len(cut.Work) != 1 || !strings.HasPrefix(cut.Work[0], "/grpc.health.v1.Health/Watch of 127.0.0.1:") {
		t.Errorf("service returns %v, want the watch as cut work", err)
	}
	for err == nil { // the watch has ended
		_, err = w.Recv()
	}
}
