//go:build linux

package control_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/ask"
	"github.com/cutover-go/cutover/internal/control"
)

// patience bounds each wait of a test. A longer wait means that a process hangs.
const patience = 30 * time.Second

// outcome is the result of an Ask.
type outcome struct {
	answer ask.Answer
	err    error
}

// asking asks our own process in the background.
func asking(ctx context.Context, address string) <-chan outcome {
	result := make(chan outcome, 1)
	go func() { // ends with ctx, or the answer
		a, err := ask.Process(ctx, address, os.Getpid(), ask.Request{Verb: ask.Upgrade})
		result <- outcome{a, err}
	}()
	return result
}

func abstract() string { return ask.Address(environment("unset"), os.Getpid()) }

// accept returns the next conversation, after its request.
func accept(t testing.TB, l *control.Listener) *control.Conn {
	t.Helper()
	c, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	if r, err := c.Request(patience); err != nil || r != (ask.Request{Version: 1, Verb: "upgrade"}) {
		t.Fatalf("request %+v, %v", r, err)
	}
	return c
}

func TestAnAnswerComesBack(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	for _, want := range []ask.Answer{{Generation: 2}, {Error: strings.Repeat("why ", 1000)}} {
		result := asking(context.Background(), abstract())
		must(t, accept(t, l).Answer(want))
		if o := <-result; o.err != nil || o.answer != want {
			t.Errorf("Ask = %+v, %v, want %+v", o.answer, o.err, want)
		}
	}
}

// Commands of every version can read an error of the longest length.
func TestALongErrorIsCut(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	for _, why := range []string{strings.Repeat("x", 70000), strings.Repeat("<", 200<<10), strings.Repeat("\xff", 1<<20)} {
		result := asking(context.Background(), abstract())
		must(t, accept(t, l).Answer(ask.Answer{Error: why}))
		if o := <-result; o.err != nil || !strings.Contains(o.answer.Error, "(cut, ") || len(o.answer.Error) < 8<<10 {
			t.Errorf("an error of %d bytes arrives as %d bytes, %v", len(why), len(o.answer.Error), o.err)
		}
	}
}

func TestHangingUpTakesTheRequestBack(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	ctx, cancel := context.WithCancelCause(context.Background())
	result := asking(ctx, abstract())
	c := accept(t, l)
	gone := make(chan struct{})
	go func() { // ends with the command, as it should
		c.Gone()
		close(gone)
	}()
	why := errors.New("interrupted")
	cancel(why)
	if o := <-result; !errors.Is(o.err, why) {
		t.Errorf("Ask = %v, want the cause of its context", o.err)
	}
	<-gone
	if err := c.Answer(ask.Answer{}); err == nil {
		t.Error("an answer to nobody was sent")
	}
}

func TestAServerThatHangsUpIsNoAnswer(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	result := asking(context.Background(), abstract())
	must(t, accept(t, l).Close())
	if o := <-result; o.err == nil || !strings.Contains(o.err.Error(), "no answer from the main process") {
		t.Errorf("Ask = %+v, %v", o.answer, o.err)
	}
}

func TestAskFailsWithoutAListener(t *testing.T) {
	for _, address := range []string{abstract(), t.TempDir() + "/control.sock"} {
		if o := <-asking(context.Background(), address); o.err == nil || !strings.Contains(o.err.Error(), "does not answer") {
			t.Errorf("Ask at %s = %+v, %v", address, o.answer, o.err)
		}
	}
}

// The squatter listens at the address of the main process.
func TestASquatterGetsNoRequest(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	_, err := ask.Process(context.Background(), abstract(), os.Getpid()+1, ask.Request{Verb: ask.Upgrade})
	if err == nil || !strings.Contains(err.Error(), "belongs to process") {
		t.Errorf("Ask = %v, want it to name the process that listens", err)
	}
	c, err := l.Accept()
	must(t, err)
	defer c.Close()
	if r, err := c.Request(patience); err == nil {
		t.Errorf("the squatter was asked %+v", r)
	}
}

// The reload command and the process that it asks can have different versions of the
// program.
func TestTheBytesOfMessagesDoNotChange(t *testing.T) {
	ln, err := net.Listen("unixpacket", abstract())
	must(t, err)
	defer ln.Close()
	result := asking(context.Background(), abstract())
	c, err := ln.Accept()
	must(t, err)
	defer c.Close()
	buf := make([]byte, 1<<10)
	n, err := c.Read(buf)
	if want := `{"version":1,"verb":"upgrade"}`; err != nil || string(buf[:n]) != want {
		t.Errorf("request %q, %v, want %q", buf[:n], err, want)
	}
	_, err = c.Write([]byte(`{"error":"e","generation":4,"pid":9,"state":"serving","successor":8,"draining":2,"later":[1]}`))
	must(t, err)
	want := ask.Answer{Error: "e", Generation: 4, PID: 9, State: "serving", Successor: 8, Draining: 2}
	if o := <-result; o.err != nil || o.answer != want {
		t.Errorf("answer %+v, %v", o.answer, o.err)
	}
}

// request sends text as a request and returns the result of the server.
func request(t testing.TB, l *control.Listener, text string) (ask.Request, error) {
	t.Helper()
	client, err := net.Dial("unixpacket", abstract())
	must(t, err)
	defer client.Close()
	_, err = client.Write([]byte(text))
	must(t, err)
	c, err := l.Accept()
	must(t, err)
	defer c.Close()
	return c.Request(patience)
}

func TestRequestsOfOtherVersionsAreRead(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	if r, err := request(t, l, `{"version":2,"verb":"dance","more":{}}`); err != nil || r != (ask.Request{Version: 2, Verb: "dance"}) {
		t.Errorf("Request = %+v, %v", r, err)
	}
	for _, text := range []string{"", "{", "[]", "\x00", `{"verb":"` + strings.Repeat("x", 64<<10) + `"}`} {
		if r, err := request(t, l, text); err == nil {
			t.Errorf("Request of %.20q = %+v", text, r)
		}
	}
}

func TestARequestThatDoesNotComeTimesOut(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	client, err := net.Dial("unixpacket", abstract())
	must(t, err)
	defer client.Close()
	c, err := l.Accept()
	must(t, err)
	defer c.Close()
	if _, err := c.Request(time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Request = %v, want os.ErrDeadlineExceeded", err)
	}
	c.Interrupt()
	c.Interrupt()
	must(t, c.Answer(ask.Answer{Error: "too late"})) // it is not affected
}

func TestInterruptEndsARequest(t *testing.T) {
	l := listen(t, abstract(), os.Getpid())
	client, err := net.Dial("unixpacket", abstract())
	must(t, err)
	defer client.Close()
	c, err := l.Accept()
	must(t, err)
	defer c.Close()
	_, err = client.Write([]byte("{}"))
	must(t, err)
	_, err = c.Request(patience)
	must(t, err)
	done := make(chan struct{})
	entered := make(chan struct{})
	go func() { // ends by Interrupt
		close(entered)
		c.Gone()
		close(done)
	}()
	<-entered
	for ended := false; !ended; {
		c.Interrupt() // Gone sets the deadline anew when it begins, so once may be too early
		select {
		case <-done:
			ended = true
		default:
		}
	}
}
