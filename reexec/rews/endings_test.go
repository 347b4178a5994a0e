package rews

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// echo answers each message with its state and the message. The state counts messages.
func echo(t testing.TB, end func(r *http.Request, p *peer, state []byte)) func() http.Handler {
	return func() http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			state, _ := State(r)
			p, err := accept(w, r)
			if err != nil {
				return // this answer is not the first one's
			}
			defer p.Close()
			for {
				message, err := p.read()
				if err != nil {
					break
				}
				if err := p.frame(0x81, fmt.Appendf(nil, "%s%s", state, message)); err != nil {
					t.Errorf("the answer to %q: %v", message, err)
				}
				state = append(state, '+')
			}
			end(r, p, state)
		})
	}
}

func leave(r *http.Request, _ *peer, state []byte) { Leave(r, state) }

// says sends a message and wants its answer.
func (p *peer) says(t testing.TB, message, want string) {
	t.Helper()
	if err := p.frame(0x81, []byte(message)); err != nil {
		t.Fatal(err)
	}
	if got, err := p.read(); got != want || err != nil {
		t.Fatalf("answer %q, %v; want %q", got, err, want)
	}
}

// wantsClose wants a close frame with code, and then the end.
func (p *peer) wantsClose(t testing.TB, code int) {
	t.Helper()
	if got, err := p.read(); !errors.Is(err, closeError{code}) {
		t.Fatalf("read %q, %v; want close frame %d", got, err, code)
	}
	if _, err := p.in.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("after the close frame: %v", err)
	}
}

func TestStateMovesAndHandlerSeesTheHandshake(t *testing.T) {
	l := newLine(t, echo(t, leave))
	p := dial(t, l.address, "/")
	p.says(t, "a", "a")
	l.upgrade()
	p.says(t, "b", "+b")
	l.upgrade()
	l.upgrade()
	p.says(t, "c", "++c")
	l.stop()
	p.wantsClose(t, 1012)
	if n := l.moves.Load(); n != 3 && n != 2 {
		t.Errorf("%d moves", n)
	}
}

// TestConnectionsThatCannotMoveAreToldToComeAgain has the reasons for which a connection stays.
func TestConnectionsThatCannotMoveAreToldToComeAgain(t *testing.T) {
	takeover := "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	ordinary := "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
	for _, test := range []struct {
		name, header string
		older        bool // the successor knows nothing of moved connections
		refuse       bool
		next         http.HandlerFunc // the successor's, nil for the same
		moves        int64
	}{
		{name: "context takeover", header: takeover},
		{name: "older successor", older: true},
		{name: "refused twice", refuse: true},
		{name: "the route is gone", next: http.NotFound, moves: 1},
		{name: "the compression is gone", header: ordinary, moves: 1, next: func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Sec-WebSocket-Extensions")
			_, _ = accept(w, r)
		}},
		{name: "the handler panics", moves: 1, next: func(http.ResponseWriter, *http.Request) { panic("out of order") }},
	} {
		for _, query := range []string{"", "?raw"} {
			t.Run(test.name+query, func(t *testing.T) {
				old := echo(t, leave)
				var begun atomic.Bool
				l := newLine(t, func() http.Handler {
					if begun.Swap(true) && test.next != nil {
						return test.next
					}
					return old()
				})
				l.spread = time.Millisecond
				l.current().bound.(*server).spread = l.spread
				l.refuseAlways = test.refuse
				p := dial(t, l.address, "/"+query, test.header)
				p.says(t, "a", "a")
				if test.older {
					g := l.current()
					close(g.draining)
					g.bound.Leave()
				} else {
					l.upgrade()
				}
				p.wantsClose(t, 1012)
				if n := l.moves.Load(); n != test.moves {
					t.Errorf("%d moves, want %d", n, test.moves)
				}
			})
		}
	}
}

// TestHandlerThatDoesNotLeaveClosesWithAFrame has programs that know nothing of Leave.
func TestHandlerThatDoesNotLeaveClosesWithAFrame(t *testing.T) {
	for code, end := range map[int]func(*http.Request, *peer, []byte){
		1012: func(*http.Request, *peer, []byte) {},
		1001: func(_ *http.Request, p *peer, _ []byte) { _ = p.frame(0x80|opClose, []byte{1001 >> 8, 1001 & 0xff}) },
	} {
		l := newLine(t, echo(t, end))
		p := dial(t, l.address, "/")
		p.says(t, "a", "a")
		l.upgrade()
		p.wantsClose(t, code)
	}
}

// TestCloseFramesDoNotMove has a server that has written a close frame when the generation
// begins to drain. The client's answer comes later.
func TestCloseFramesDoNotMove(t *testing.T) {
	ended := make(chan error, 1)
	l := newLine(t, func() http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := accept(w, r)
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			_ = p.frame(0x80|opClose, []byte{1000 >> 8, 1000 & 0xff})
			_, err = p.read()
			ended <- err
		})
	})
	p := dial(t, l.address, "/")
	first, _, err := readFrame(p.in)
	if err != nil || first != 0x80|opClose {
		t.Fatal(first, err)
	}
	l.upgrade()
	if err := p.frame(0x80|opClose, []byte{1000 >> 8, 1000 & 0xff}); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, closeError{1000}) {
		t.Errorf("the library reads %v, want the client's close frame", err)
	}
	if l.moves.Load() != 0 {
		t.Error("the connection has moved")
	}
}

// TestBadFramesReachTheLibraryUnchanged while the generation drains.
func TestBadFramesReachTheLibraryUnchanged(t *testing.T) {
	bad := []byte{0x83, 0x81, 1, 2, 3, 4, 'x', 0xff, 0xfe, 0}
	reads := make(chan []byte, 1)
	l := newLine(t, func() http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := accept(w, r)
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			all := make([]byte, len(bad))
			if _, err := io.ReadFull(p.in, all); err != nil {
				t.Error(err)
			}
			reads <- all
		})
	})
	p := dial(t, l.address, "/")
	if _, err := p.Conn.Write(bad[:1]); err != nil {
		t.Fatal(err)
	}
	g := l.current()
	close(g.draining) // and no process takes connections
	g.bound.Leave()
	if _, err := p.Conn.Write(bad[1:]); err != nil {
		t.Fatal(err)
	}
	if got := <-reads; string(got) != string(bad) {
		t.Errorf("the library reads % x, want % x", got, bad)
	}
}

// TestLeaveWaitsForTheMessageThatHasBegun and fails the next one as a whole.
func TestLeaveWaitsForTheMessageThatHasBegun(t *testing.T) {
	begun, left := make(chan *peer, 1), make(chan bool, 1)
	l := newLine(t, func() http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, err := accept(w, r)
			if err != nil {
				t.Error(err)
				return
			}
			defer p.Close()
			if _, again := State(r); again {
				_ = p.frame(0x81, []byte("moved"))
				_, _ = p.read()
				return
			}
			_ = p.put(appendFrame(nil, 0x01, []byte("one "), false))
			_, err = p.read()
			if !errors.Is(err, ErrMoving) {
				t.Errorf("Read = %v, want ErrMoving", err)
			}
			begun <- p
			left <- Leave(r, nil)
		})
	})
	p := dial(t, l.address, "/")
	l.upgrade()
	writer := <-begun
	select {
	case <-left:
		t.Error("Leave has returned within a message")
	default:
	}
	if err := writer.put(appendFrame(nil, 0x80, []byte("message"), false)); err != nil {
		t.Errorf("the rest of a message: %v", err)
	}
	if !<-left {
		t.Error("Leave = false")
	}
	if err := writer.put(appendFrame(nil, 0x81, []byte("late"), false)); !errors.Is(err, ErrMoving) {
		t.Errorf("a message after Leave: %v, want ErrMoving", err)
	}
	for _, want := range []string{"one message", "moved"} {
		if got, err := p.read(); got != want || err != nil {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
	}
	_ = p.Close()
}

// TestAnotherProtocolMovesBetweenItsMessages has lines. The rest of a line goes along as state.
func TestAnotherProtocolMovesBetweenItsMessages(t *testing.T) {
	l := newLine(t, func() http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			state, moved := State(r)
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: lines/1\r\nConnection: Upgrade\r\n\r\n")
			if moved {
				fmt.Fprintf(c, "moved with %s\n", state)
			}
			for buf := make([]byte, 100); ; {
				n, err := c.Read(buf)
				state = append(state, buf[:n]...)
				if err != nil {
					Leave(r, state)
					return
				}
				if line, rest, ok := strings.Cut(string(state), "\n"); ok {
					fmt.Fprintln(c, line)
					state = []byte(rest)
				}
			}
		})
	})
	p := dial(t, l.address, "/", "Upgrade: lines/1\r\n")
	fmt.Fprint(p.Conn, "one\nin ")
	for _, want := range []string{"one\n", "moved with in \n", "in two\n"} {
		if got, err := p.in.ReadString('\n'); got != want || err != nil {
			t.Fatalf("line %q, %v; want %q", got, err, want)
		}
		switch want {
		case "one\n":
			l.upgrade()
		case "moved with in \n":
			fmt.Fprint(p.Conn, "two\n")
		}
	}
	_ = p.Close()
}
