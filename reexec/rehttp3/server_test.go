//go:build linux

package rehttp3

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// selfSigned makes a certificate.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fakeUpgrader is an Upgrader that the test drives.
type fakeUpgrader struct {
	mu                          sync.Mutex
	draining, stopping, resumed chan struct{}
	ended                       chan struct{} // closed when the generation ends after its work
	late                        chan struct{} // closed at the drain deadline
	held                        sync.WaitGroup
}

func newFake() *fakeUpgrader {
	f := &fakeUpgrader{ended: make(chan struct{}), late: make(chan struct{})}
	f.begin()
	return f
}

func (f *fakeUpgrader) begin() {
	f.draining, f.stopping, f.resumed = make(chan struct{}), make(chan struct{}), make(chan struct{})
}

func (f *fakeUpgrader) channel(c *chan struct{}) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return *c
}

func (f *fakeUpgrader) Draining() <-chan struct{} { return f.channel(&f.draining) }
func (f *fakeUpgrader) Stopping() <-chan struct{} { return f.channel(&f.stopping) }
func (f *fakeUpgrader) Resumed() <-chan struct{}  { return f.channel(&f.resumed) }

func (f *fakeUpgrader) Hold() func() {
	f.held.Add(1)
	return sync.OnceFunc(f.held.Done)
}

func (f *fakeUpgrader) Drain(context.Context) error {
	select {
	case <-f.ended:
	case <-f.late:
		return reexec.ErrDrainDeadline
	}
	none := make(chan struct{})
	go func() { // ends with the work
		f.held.Wait()
		close(none)
	}()
	select {
	case <-none:
		return nil
	case <-f.late:
		return reexec.ErrDrainDeadline
	}
}

func (f *fakeUpgrader) drain() { close(f.draining); close(f.ended) }

func (f *fakeUpgrader) stop() { close(f.stopping); f.drain() }

// cover drains and serves again, as after the death of a successor.
func (f *fakeUpgrader) cover() {
	close(f.draining)
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.resumed)
	f.begin()
}

// house is an endpoint under test.
type house struct {
	testing.TB
	*fakeUpgrader
	addr   string
	result chan error
}

func newHouse(t *testing.T, equip func(*endpoint)) *house {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t, newFake(), c.LocalAddr().String(), make(chan error, 1)}
	e := &endpoint{name: "quic", u: h.fakeUpgrader, config: &quic.Config{}, secret: func() ([]byte, error) { return make([]byte, 32), nil },
		tls: &tls.Config{Certificates: []tls.Certificate{certificate(t)}}}
	equip(e)
	go func() { h.result <- e.serve(flowConn{c, 7}) }() // joined by the test
	return h
}

// newHTTP serves srv.
func newHTTP(t *testing.T, srv *http3.Server) *house {
	t.Helper()
	return newHouse(t, func(e *endpoint) { serveHTTP(e, srv) })
}

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// ends checks that the service has ended without an error.
func (h *house) ends() {
	h.Helper()
	if err := <-h.result; err != nil {
		h.Error(err)
	}
}

// dials is a client that counts its connections.
type dials struct {
	*http3.Transport
	n int
}

func (h *house) client() *dials {
	d := &dials{Transport: newClient()}
	d.Dial = func(ctx context.Context, addr string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
		d.n++
		return quic.DialAddr(ctx, addr, t, q)
	}
	h.Cleanup(func() { d.Close() })
	return d
}

// get returns the body of an answer.
func (h *house) get(d *dials, path string) (string, error) {
	h.Helper()
	r, err := http.NewRequestWithContext(h.Context(), http.MethodGet, "https://"+h.addr+path, nil)
	h.must(err)
	a, err := d.RoundTrip(r)
	if err != nil {
		return "", err
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return string(b), err
}

// getAgain asks on the connection of d until the client dials a new one.
func (h *house) getAgain(d *dials) {
	h.Helper()
	for before := d.n; d.n == before; {
		if _, err := h.get(d, "/"); err != nil && !left(err) {
			h.Fatal(err)
		}
	}
}

// left reports whether the client closed its connection after GOAWAY in the moment in which it
// was to send a request: http3.ClientConn counts requests and looks for GOAWAY in two steps.
func left(err error) bool {
	var e *http3.Error
	return errors.As(err, &e) && !e.Remote && e.ErrorCode == http3.ErrCodeNoError
}

func TestClientsGetGOAWAYWhenTheGenerationDrains(t *testing.T) {
	h := newHTTP(t, &http3.Server{Handler: http.NotFoundHandler()})
	d := h.client()
	_, err := h.get(d, "/")
	h.must(err)
	release := h.Hold() // no other process reads the first packets of new connections
	h.drain()
	h.getAgain(d)
	release()
	h.must(d.Close())
	h.ends()
}

func TestAGenerationThatServesAgainAsksItsClientsLater(t *testing.T) {
	h := newHTTP(t, &http3.Server{Handler: http.NotFoundHandler()})
	for range 2 {
		d := h.client()
		_, err := h.get(d, "/")
		h.must(err)
		h.cover()
		d.Close()
	}
	d := h.client()
	for range 20 {
		_, err := h.get(d, "/")
		h.must(err)
	}
	if d.n != 1 {
		t.Errorf("a client of the generation that serves again dials %d times, want 1", d.n)
	}
	release := h.Hold() // no other process reads the first packets of new connections
	h.drain()
	h.getAgain(d)
	release()
	h.must(d.Close())
	h.ends()
}

// blocking is a handler whose requests end by release.
func blocking() (handler http.HandlerFunc, begun, release chan struct{}) {
	begun, release = make(chan struct{}, 1), make(chan struct{})
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, "answer") // the client reports it
	}, begun, release
}

func TestRequestsAreReportedAtTheDrainDeadline(t *testing.T) {
	handler, begun, release := blocking()
	defer close(release)
	h := newHTTP(t, &http3.Server{Handler: handler})
	failed := make(chan error, 1)
	go func() { // joined below
		_, err := h.get(h.client(), "/slow")
		failed <- err
	}()
	<-begun
	h.drain()
	close(h.late)
	var cut *protocol.CutError
	if err := <-h.result; !errors.As(err, &cut) || !errors.Is(err, reexec.ErrDrainDeadline) || len(cut.Work) != 1 || !strings.HasPrefix(cut.Work[0], "GET /slow of 127.0.0.1:") {
		t.Errorf("the service ends with %v, want the request as work that was cut", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request has an answer")
	}
}

// The client keeps its connection after the answer, as a client does that has lost power.
func TestAStopAnswersRequestsAndDoesNotWaitForClients(t *testing.T) {
	handler, begun, release := blocking()
	h := newHTTP(t, &http3.Server{Handler: handler})
	conn, err := quic.DialAddr(t.Context(), h.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}, nil)
	h.must(err)
	defer conn.CloseWithError(0, "")
	c := new(http3.Transport).NewClientConn(conn)
	answered := make(chan error, 1)
	go func() { // joined below
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+h.addr+"/slow", nil)
		if err == nil {
			var a *http.Response
			if a, err = c.RoundTrip(r); err == nil {
				_, err = io.Copy(io.Discard, a.Body)
			}
		}
		answered <- err
	}()
	<-begun
	h.stop()
	time.AfterFunc(2*moment, func() { close(release) })
	if err := <-answered; err != nil {
		t.Error(err)
	}
	h.ends()
}

func TestTheServerOfAConnectionHasTheFieldsOfTheProgram(t *testing.T) {
	p := &http3.Server{}
	v := reflect.ValueOf(p).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if !f.CanSet() {
			continue
		}
		switch f.Kind() {
		case reflect.Pointer:
			f.Set(reflect.New(f.Type().Elem()))
		case reflect.Map:
			f.Set(reflect.MakeMap(f.Type()))
		case reflect.Func:
			f.Set(reflect.MakeFunc(f.Type(), func(in []reflect.Value) []reflect.Value { return in[:1] }))
		case reflect.Interface:
			f.Set(reflect.ValueOf(http.NotFoundHandler()))
		case reflect.String:
			f.SetString("a")
		case reflect.Bool:
			f.SetBool(true)
		default:
			f.SetInt(1)
		}
	}
	got := reflect.ValueOf((&server{endpoint: new(endpoint), template: p}).http3Server(http.NotFoundHandler())).Elem()
	for i := range v.NumField() {
		if v.Field(i).CanSet() && got.Field(i).IsZero() {
			t.Errorf("the server of a connection has no %s", v.Type().Field(i).Name)
		}
	}
}

func TestAHandlerSeesTheServerAndTheContextOfTheProgram(t *testing.T) {
	type key struct{}
	srv := &http3.Server{ConnContext: func(ctx context.Context, _ *quic.Conn) context.Context {
		return context.WithValue(ctx, key{}, "mine")
	}}
	srv.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(http3.ServerContextKey) != srv || r.Context().Value(key{}) != "mine" {
			t.Error("the context of a request lacks the values of the program's server")
		}
		if err := srv.SetQUICHeaders(w.Header()); err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, w.Header().Get("Alt-Svc")) // checked below
	})
	h := newHTTP(t, srv)
	d := h.client()
	_, port, err := net.SplitHostPort(h.addr)
	h.must(err)
	if got, err := h.get(d, "/"); err != nil || !strings.HasPrefix(got, `h3=":`+port+`"`) {
		t.Errorf("Alt-Svc is %q, %v; want port %s", got, err, port)
	}
	d.Close()
	h.drain()
	h.ends()
}

// The service is an echo.
func TestAConnectionOfAnotherProtocolIsReportedAtTheDrainDeadline(t *testing.T) {
	const echo = "echo"
	h := newHouse(t, func(e *endpoint) {
		e.tls.NextProtos = []string{echo}
		serveConnections(e, func(c *quic.Conn) {
			if s, err := c.AcceptStream(c.Context()); err == nil {
				_, _ = io.Copy(s, s) // ends with the connection
			}
		})
	})
	c, err := quic.DialAddr(t.Context(), h.addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{echo}}, nil)
	h.must(err)
	s, err := c.OpenStreamSync(t.Context())
	h.must(err)
	_, err = s.Write([]byte("a"))
	h.must(err)
	if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	h.drain()
	close(h.late)
	var cut *protocol.CutError
	if err := <-h.result; !errors.As(err, &cut) || len(cut.Work) != 1 || !strings.HasPrefix(cut.Work[0], "127.0.0.1:") {
		t.Errorf("the service ends with %v, want the connection as work that was cut", err)
	}
	<-c.Context().Done()
	if err := (*quic.ApplicationError)(nil); !errors.As(context.Cause(c.Context()), &err) || err.ErrorCode != 0 || !err.Remote {
		t.Errorf("the client sees %v, want error code 0 of the server", context.Cause(c.Context()))
	}
}

func TestNoConnectionBeginsAfterTheLast(t *testing.T) {
	e := &endpoint{u: newFake()}
	ctx, end := context.WithCancel(t.Context())
	if _, err := e.hold(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if e.finish() {
		t.Error("finish with an open connection: true")
	}
	end()
	e.conns.Wait()
	if !e.finish() {
		t.Error("finish without a connection: false")
	}
	if _, err := e.hold(t.Context(), nil); !errors.Is(err, errOver) {
		t.Errorf("hold after finish: %v", err)
	}
}

func TestClientsAreAskedToLeaveOneAfterTheOther(t *testing.T) {
	for _, tt := range []struct {
		open int
		most time.Duration
	}{{0, 0}, {1, apart}, {100, 100 * apart}, {1 << 20, longest}} {
		e := &endpoint{open: tt.open}
		var last time.Duration
		for range 1000 {
			turn := e.turn()
			if turn < 0 || turn > tt.most {
				t.Fatalf("%d connections: %v, want %v at most", tt.open, turn, tt.most)
			}
			last = max(last, turn)
		}
		if last < tt.most/2 {
			t.Errorf("%d connections: %v is the longest of 1000 turns, want about %v", tt.open, last, tt.most)
		}
	}
}

func TestAServiceNeedsACertificate(t *testing.T) {
	for name, s := range map[string]reexec.Service{
		"without a TLSConfig": Service("quic", "127.0.0.1:0", &http3.Server{}),
		"with an empty one":   QUIC("quic", "127.0.0.1:0", &tls.Config{}, nil, func(*quic.Conn) {}),
	} {
		if _, err := s.Listen(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
