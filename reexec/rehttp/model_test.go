//go:build linux

package rehttp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A modelClient is a client that does what clients do, at random, and knows what it has to
// get: one answer to each request, in the order in which it has asked.
type modelClient struct {
	*fakeProgram
	*rand.Rand
	name    string
	plain   bool // it gives no reason to close its connection
	asked   int
	due     []due // in the order of the answers
	conn    *net.TCPConn
	in      *bufio.Reader
	ended   bool // nothing may be asked on this connection any more
	dialled int
}

// due is an expected answer.
type due struct{ number, answer string }

// Clients take random steps, over many generations.
func TestEveryRequestHasOneAnswer(t *testing.T) {
	for name, refuse := range map[string]func() bool{
		"moves succeed": func() bool { return false },
		"moves fail":    func() bool { return rand.IntN(3) == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			d := newFakeProgram(t)
			d.refuse = refuse
			d.begin()
			var clients sync.WaitGroup
			var left atomic.Int64
			for i := range 12 {
				g := &modelClient{fakeProgram: d, Rand: rand.New(rand.NewPCG(rand.Uint64(), uint64(i))), name: fmt.Sprint(i), plain: i%4 != 0}
				left.Add(1)
				clients.Go(func() {
					defer d.progress()
					defer left.Add(-1)
					g.live(25)
					if moves := name == "moves succeed"; moves && g.plain && g.dialled != 1 {
						t.Errorf("client %s has dialled %d times, want once", g.name, g.dialled)
					}
				})
			}
			for left.Load() > 0 {
				<-d.stepped
				d.upgrade()
			}
			clients.Wait()
			d.end()
			d.checkRuns()
			if d.moved.Load() == 0 {
				t.Error("no connection has moved")
			}
			t.Logf("%d generations, %d moves", d.number+1, d.moved.Load())
		})
	}
}

// checkRuns checks that no request was run twice.
func (d *fakeProgram) checkRuns() {
	d.runs.Range(func(number, runs any) bool {
		if n := runs.(*atomic.Int64).Load(); n != 1 {
			d.Errorf("request %v was run %d times", number, n)
		}
		return true
	})
}

func (g *modelClient) live(steps int) {
	for range steps {
		if g.Failed() {
			break
		}
		if g.conn == nil {
			g.dial()
		}
		g.step()
		g.progress()
		if g.ended {
			g.leave()
		}
	}
	if g.conn != nil {
		g.leave()
	}
}

func (g *modelClient) dial() {
	c, err := net.Dial("tcp", g.ln.Addr().String())
	if err != nil {
		g.Error(err)
		return
	}
	g.conn, g.in, g.ended = c.(*net.TCPConn), bufio.NewReader(c), false
	g.dialled++
}

func (g *modelClient) leave() {
	_ = g.conn.Close()
	g.conn, g.due = nil, nil
}

// step does one thing of those that clients do.
func (g *modelClient) step() {
	switch n := g.IntN(20); {
	case n < 6:
		g.send(g.request())
		g.hear()
	case n < 10: // pipelined, in whatever pieces
		var all []byte
		for range 1 + g.IntN(20) {
			all = append(all, g.request()...)
		}
		g.sendWhileHearing(all)
	case n < 12: // a part, and an upgrade before the rest
		all := append(g.request(), g.request()...)
		k := g.IntN(len(all))
		g.send(all[:k])
		g.after(1 + g.IntN(2))
		g.send(all[k:])
		g.hear()
	case n < 14: // idle for a while
		g.after(1 + g.IntN(3))
	case n < 15:
		g.expect()
	case g.plain:
		g.send(g.request())
		g.hear()
	case n < 17:
		g.garbage()
	case n < 18:
		g.halfClose()
	default: // what may not move
		r := bytes.Replace(g.request(), []byte("\r\nNumber"), []byte("\r\nEmpty:\r\n folded\r\nNumber"), 1)
		g.send(r)
		g.hear()
	}
}

// request makes a request, whose answer is due.
func (g *modelClient) request() []byte {
	g.asked++
	number := fmt.Sprintf("%s.%d", g.name, g.asked)
	header, size := "Host: test\r\nNumber: "+number+"\r\n", 0
	unread := g.IntN(4) == 0
	if unread {
		header += "Unread: yes\r\n"
	}
	var r string
	switch g.IntN(4) {
	case 0:
		r = "GET / HTTP/1.1\r\n" + header + "\r\n"
	case 1:
		size = g.IntN(3) * g.IntN(10000)
		r = fmt.Sprintf("POST / HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", header, size, strings.Repeat("b", size))
	case 2:
		r = "PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\nCookie: " + strings.Repeat("c", g.IntN(5000)) + "\r\n" + header + "\r\n"
		for range g.IntN(10) {
			n := 1 + g.IntN(3000)
			size += n
			r += fmt.Sprintf("%x%s\r\n%s\r\n", n, []string{"", ";ext", ";a=b"}[g.IntN(3)], strings.Repeat("d", n))
		}
		r += "0\r\n" + []string{"", "Trailer: e\r\n", "A: b\r\nC: d\r\n"}[g.IntN(3)] + "\r\n"
	default:
		r = "DELETE /" + strings.Repeat("f", g.IntN(200)) + " HTTP/1.1\r\nContent-Length: 0\r\n" + header + "\r\n"
	}
	answer := fmt.Sprintf("%s %d", number, size)
	if unread {
		answer = number + " unread"
	}
	g.due = append(g.due, due{number, answer})
	return []byte(r)
}

// send writes p in pieces.
func (g *modelClient) send(p []byte) {
	for len(p) > 0 && !g.ended {
		n := min(len(p), 1+g.IntN(1+g.IntN(5000)))
		if _, err := g.conn.Write(p[:n]); err != nil {
			return // hear tells why
		}
		p = p[n:]
	}
}

func (g *modelClient) sendWhileHearing(p []byte) {
	sent := make(chan struct{})
	go func() { // joined below
		defer close(sent)
		_, _ = io.Copy(g.conn, bytes.NewReader(p)) // hear tells what goes wrong
	}()
	g.hear()
	<-sent
}

// cut ends a connection that the server has closed. That is right after it has said
// so, which hear notes, and never before.
func (g *modelClient) cut(err error) {
	if !g.ended {
		g.Errorf("client %s: %v, with %d answers due", g.name, err, len(g.due))
		g.ended = true
	}
}

// hear reads the answers that are due.
func (g *modelClient) hear() {
	for len(g.due) > 0 && !g.ended {
		_ = g.conn.SetDeadline(time.Now().Add(patience)) // or the read says why not
		r, err := http.ReadResponse(g.in, nil)
		if err != nil {
			g.cut(err)
			return
		}
		g.check(r)
	}
}

func (g *modelClient) check(r *http.Response) {
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	want := g.due[0]
	g.due = g.due[1:]
	if err != nil || r.StatusCode != http.StatusOK || string(body) != want.answer {
		g.Errorf("client %s: answer %d %q, %v, want %q", g.name, r.StatusCode, body, err, want.answer)
	}
	g.ended = r.Close // what was sent after that is not answered, nor run: the client knows it
}

// expect waits for the server to want the body.
func (g *modelClient) expect() {
	g.asked++
	number := fmt.Sprintf("%s.%d", g.name, g.asked)
	g.send([]byte("POST / HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 5\r\nNumber: " + number + "\r\n\r\n"))
	if line, err := g.in.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		g.Errorf("client %s expects %q, %v", g.name, line, err)
	}
	if _, err := g.in.ReadString('\n'); err != nil {
		g.Error(err)
	}
	g.after(g.IntN(2))
	g.send([]byte("12345"))
	g.due = append(g.due, due{number, number + " 5"})
	g.hear()
}

// garbage is answered by 400, after what was asked before it.
func (g *modelClient) garbage() {
	g.send(append(g.request(), "\x00 garbage\r\n\r\n"...))
	g.hear()
	if g.ended {
		return
	}
	g.ended = true
	if r, err := http.ReadResponse(g.in, nil); err != nil || r.StatusCode != http.StatusBadRequest {
		g.Errorf("client %s: garbage is answered %v, %v", g.name, r, err)
	}
}

// halfClose asks and sends no more: the answers come, and the end.
func (g *modelClient) halfClose() {
	for range 1 + g.IntN(3) {
		g.send(g.request())
	}
	_ = g.conn.CloseWrite() // or the server has closed, which hear finds
	for len(g.due) > 0 && !g.ended {
		r, err := http.ReadResponse(g.in, nil)
		if err != nil {
			g.cut(err)
			return
		}
		g.due[0].answer = strings.TrimSuffix(g.due[0].answer, " left")
		g.checkLeft(r)
	}
	if g.ended { // before the last answer
		return
	}
	g.ended = true
	if _, err := g.in.ReadByte(); !errors.Is(err, io.EOF) {
		g.Errorf("client %s: %v after a half-close, want the end", g.name, err)
	}
}

// checkLeft is check where the server may have noticed that no more will be sent.
func (g *modelClient) checkLeft(r *http.Response) {
	body, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	r.Body = io.NopCloser(strings.NewReader(strings.TrimSuffix(string(body), " left")))
	if err != nil {
		g.Error(err)
	}
	g.check(r)
}
