//go:build linux

package rehttp

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// call opens a connection.
func (d *fakeProgram) call() *caller {
	c, err := net.Dial("tcp", d.ln.Addr().String())
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &caller{d, c, bufio.NewReader(c)}
}

type caller struct {
	*fakeProgram
	net.Conn
	in *bufio.Reader
}

func (c *caller) secure(config *tls.Config) *caller {
	s := tls.Client(c.Conn, config)
	return &caller{c.fakeProgram, s, bufio.NewReader(s)}
}

// ask sends a request, for answer to answer.
func (c *caller) ask(number string) {
	c.Helper()
	c.send("GET / HTTP/1.1\r\nHost: example.com\r\nNumber: " + number + "\r\n\r\n")
}

func (c *caller) asks(number string, last bool) {
	c.Helper()
	c.ask(number)
	c.hears(number+" 0", last)
}

func (c *caller) hears(want string, wantLast bool) {
	c.Helper()
	if body, last := c.hear(); body != want || last != wantLast {
		c.Errorf("answer %q, last %v; want %q, %v", body, last, want, wantLast)
	}
}

func (c *caller) send(text string) {
	c.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.Fatal(err)
	}
}

// hear returns the next answer, and whether it is the last.
func (c *caller) hear() (body string, last bool) {
	c.Helper()
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.Fatal(err)
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		c.Fatal(err)
	}
	return string(text), r.Close
}

// Such a connection gets its answer from this generation, and the answer says close.
func TestConnectionsThatMayNotMoveStay(t *testing.T) {
	for name, first := range map[string]string{
		"HTTP/1.0":    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
		"a fold":      "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
		"two lengths": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
	} {
		t.Run(name, func(t *testing.T) {
			d := newFakeProgram(t)
			d.handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "4")
				_, _ = io.WriteString(w, "here")
			})
			d.begin()
			c := d.call()
			c.send(first)
			if body, last := c.hear(); body != "here" || last {
				t.Errorf("first answer %q, last %v", body, last)
			}
			d.upgrade()
			c.send(first)
			if body, last := c.hear(); body != "here" || !last {
				t.Errorf("second answer %q, last %v, want the last", body, last)
			}
			d.end()
			if n := d.moved.Load(); n > 0 {
				t.Errorf("%d connections have moved", n)
			}
		})
	}
}

// After the header of that answer, the client sends more requests and reads slowly. No
// process reads those requests.
func TestTheLastAnswerArrives(t *testing.T) {
	const size = 256 << 10
	d := newFakeProgram(t)
	d.refuse = func() bool { return true }
	goOn := make(chan struct{})
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Last") == "" {
			_, _ = w.Write(make([]byte, 1))
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.(http.Flusher).Flush()
		<-goOn
		_, _ = w.Write(make([]byte, size))
	})
	d.begin()
	c := d.call()
	if err := c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	request := func(field string) string {
		return "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n fold\r\n" + field + "\r\n"
	}
	c.send(request(""))
	c.hears("\x00", false)
	d.upgrade()
	c.send(request("Last: yes\r\n"))
	r, err := http.ReadResponse(c.in, nil)
	if err != nil || !r.Close {
		t.Fatalf("answer %+v, %v; want the last", r, err)
	}
	c.send(strings.Repeat(request(""), 1000))
	close(goOn)
	if body, err := io.ReadAll(r.Body); err != nil || len(body) != size {
		t.Errorf("%d bytes, %v; want %d", len(body), err, size)
	}
	c.Close()
	d.end()
}

// A program with its own accept loop speaks TLS above the wrapper. The connection stays
// also before its first byte.
func TestTLSStays(t *testing.T) {
	u := httptest.NewUnstartedServer(nil) // for its certificate
	u.StartTLS()
	defer u.Close()
	d := newFakeProgram(t)
	r := newFakeGeneration(d)
	srv := &http.Server{Handler: http.HandlerFunc(d.answer)}
	known := make(chan struct{}, 10)
	srv.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew || s == http.StateIdle {
			known <- struct{}{}
		}
	}
	s := &Server{HTTP: srv}
	s.t = newTracker(r, srv)
	ln, err := s.Wrap(r)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(tls.NewListener(ln, u.TLS)) }() // joined below
	d.accepts <- r
	go d.accept() // ends with the listener

	config := u.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.ServerName = "example.com"
	used, unused := d.call().secure(config), d.call().secure(config)
	used.asks("a", false)
	for range 3 {
		<-known
	}
	r.next = newFakeGeneration(d)
	close(r.draining)
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(t.Context()) }() // joined below
	awaitMark(s.t)
	used.asks("b", true)
	unused.asks("c", true)
	if err := <-drained; err != nil {
		t.Error(err)
	}
	<-served
	d.ln.Close()
	if n := d.moved.Load(); n > 0 {
		t.Errorf("%d connections have moved", n)
	}
}

// awaitMark waits until the drain has reached a client of t. A request that arrives just
// before may be answered without close, because more requests may be behind it.
func awaitMark(t *tracker) {
	for marked := false; !marked; runtime.Gosched() {
		t.each(func(k *client) {
			b := k.estimate()
			b.mu.Lock()
			defer b.mu.Unlock()
			marked = marked || b.marked
		})
	}
}

// net/http skips line ends only if it has read the POST before.
func TestALineEndAfterAPostIsSkippedByTheSuccessor(t *testing.T) {
	d := newFakeProgram(t)
	d.begin()
	c := d.call()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nNumber: 1\r\n\r\na")
	c.hears("1 1", false)
	for range 2 {
		moved := d.moved.Load()
		d.upgrade()
		for d.moved.Load() == moved {
			runtime.Gosched()
		}
	}
	c.send("\r\n")
	c.asks("2", false)
	c.send("\r\n") // after what was no POST
	c.ask("3")
	if r, err := http.ReadResponse(c.in, nil); err != nil || r.StatusCode != http.StatusBadRequest {
		t.Errorf("a line end before a request: %v, %v; want 400", r, err)
	}
	d.end()
}

func TestAHijackedConnectionIsLikeThatOfNetHTTP(t *testing.T) {
	d := newFakeProgram(t)
	hijacked := make(chan net.Conn, 1)
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if err := errors.Join(rc.SetReadDeadline(time.Now().Add(patience)), rc.SetWriteDeadline(time.Time{}), rc.EnableFullDuplex()); err != nil {
			t.Error(err)
		}
		if _, ok := w.(http.Flusher); !ok {
			t.Error("no http.Flusher")
		}
		c, rw, err := rc.Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		text, err := rw.ReadString('\n') // sent with the request
		if err != nil || text != "early\n" {
			t.Errorf("%q, %v", text, err)
		}
		hijacked <- c
	})
	d.begin()
	c := d.call()
	c.send("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: chat\r\nConnection: upgrade\r\n\r\nearly\n")
	ours := <-hijacked
	if _, ok := ours.(interface {
		io.ReaderFrom
		io.WriterTo
		syscall.Conn
		CloseRead() error
		CloseWrite() error
		SetNoDelay(bool) error
		SetKeepAlive(bool) error
		NetConn() net.Conn
	}); !ok {
		t.Errorf("a %T has not the methods of *net.TCPConn", ours)
	}
	d.upgrade()
	c.send("after the upgrade\n")
	echoed := make(chan error, 1)
	go func() { // joined below
		_, err := io.Copy(ours, ours)
		echoed <- errors.Join(err, ours.Close())
	}()
	if text, err := c.in.ReadString('\n'); err != nil || text != "after the upgrade\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	if err := <-echoed; err != nil {
		t.Error(err)
	}
	d.end()
}

// While this generation drains, net/http reads nothing behind the request.
func TestAHandlerNoticesThatItsClientLeaves(t *testing.T) {
	d := newFakeProgram(t)
	begun, noticed := make(chan struct{}, 2), make(chan struct{})
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-r.Context().Done()
		noticed <- struct{}{}
	})
	d.begin()
	for range 2 {
		c := d.call()
		c.ask("1")
		<-begun
		d.upgrade()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		select {
		case <-noticed:
		case <-time.After(patience):
			t.Fatal("the handler does not notice")
		}
	}
	d.end()
}

func TestTheEndOfTheGraceDoesNotShutAMovingConnection(t *testing.T) {
	client, c := pair(t)
	c.t.onState(c, http.StateNew)
	if !c.beginMove() {
		t.Fatal("it cannot move")
	}
	if closeRead(&c.client) {
		t.Error("it was shut")
	}
	c.moving = false // and has not moved
	if _, err := io.WriteString(client, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if !closeRead(&c.client) {
		t.Error("it is not shut")
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a Read after that: %v, want EOF", err)
	}
	if c.beginMove() {
		t.Error("it moves after that")
	}
}

// Without sendfile, the process would read the file in pieces of 32 KiB.
func TestAFileIsSentByTheKernel(t *testing.T) {
	const size = 64 << 20
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	d := newFakeProgram(t)
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, f.Name()) })
	d.begin()
	runtime.LockOSThread() // whose reads are counted apart
	defer runtime.UnlockOSThread()
	before := reads(t)
	c := d.call()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 1<<20)
	for left := r.ContentLength; left > 0; {
		n, err := r.Body.Read(p)
		if left -= int64(n); err != nil && left > 0 {
			t.Fatal(err)
		}
	}
	if n := reads(t) - before; n > size/(32<<10)/2 {
		t.Errorf("%d reads for a file of %d bytes", n, size)
	} else {
		t.Logf("%d reads", n)
	}
	d.end()
}

// reads returns how often other threads of this process have read.
func reads(t *testing.T) int {
	of := func(path string) int {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		_, count, _ := bytes.Cut(text, []byte("syscr: "))
		count, _, _ = bytes.Cut(count, []byte("\n"))
		n, err := strconv.Atoi(string(count))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return of("/proc/self/io") - of("/proc/thread-self/io")
}

// The connection moves at the end of a request although the next ones have arrived.
func TestAConnectionWithEndlessPipeliningMoves(t *testing.T) {
	d := newFakeProgram(t)
	d.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for range 100 { // net/http reads behind the request meanwhile
			runtime.Gosched()
		}
		d.answer(w, r)
	})
	d.begin()
	c := d.call()
	asked, rest := 0, ""
	ask := func() { // and begin with the next, so that there is never a pause between two
		next := fmt.Sprintf("GET / HTTP/1.1\r\nHost: a\r\nNumber: %d\r\n\r\n", asked)
		c.send(rest + next[:10])
		rest = next[10:]
		asked++
	}
	for range 100 {
		ask()
	}
	heard := func(n int) {
		for range n {
			c.hears(strconv.Itoa(asked-100)+" 0", false)
			ask()
		}
	}
	heard(100)
	d.upgrade()
	heard(250) // what has been answered, what net/http had in its buffer, and more
	if d.moved.Load() == 0 {
		t.Error("it has not moved")
	}
	heard(200)
	c.send(rest)
	for n := asked - 100; n < asked; n++ {
		c.hears(strconv.Itoa(n)+" 0", false)
	}
	d.end()
	d.checkRuns()
}
