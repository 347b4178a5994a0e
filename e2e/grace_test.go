package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

// idleGrace is the time for which a stopping process of rehttp keeps an idle connection that
// cannot move. A client that sends a request while the process closes the connection loses the
// request: HTTP/1.1 leaves that race to the client. A load uses each connection within idleGrace
// if its story restarts the program and allows no loss.
const idleGrace = 250 * time.Millisecond

// The client opens a connection for every other request, in place of one that was closed. So it
// uses the last of n connections with request 2n-1 after the stop.
func TestARestartClosesNoIdleConnectionOfTheLoads(t *testing.T) {
	for _, class := range []load.Class{kept, lightKept, calm[0], lively()[0], sparse, sparseTLS} {
		t.Run(fmt.Sprintf("%v a second on %d", class.Rate, class.Conns), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stopping, stop := context.WithCancel(t.Context())
				dial := func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go serveUntil(stopping, theirs) // ends with the connection
					return ours, nil
				}
				run := load.Start(t.Context(), load.Config{Dial: dial, Classes: []load.Class{class}})
				time.Sleep(2*time.Second + time.Millisecond) // the next request is as far away as possible
				stop()
				time.Sleep(2 * time.Second)
				s := run.Stop().Classes[0]
				if s.ClosedIdle+s.Failed() > 0 || s.ClosedLast != class.Conns {
					t.Errorf("%d connections closed while idle, %d with an answer, %d requests failed; want 0, %d and 0",
						s.ClosedIdle, s.ClosedLast, s.Failed(), class.Conns)
				}
			})
		})
	}
}

// serveUntil serves c like a process that is stopping when stopping ends. A connection that is
// opened after that belongs to the next process.
func serveUntil(stopping context.Context, c net.Conn) {
	defer c.Close()
	if stopping.Err() != nil {
		stopping = context.Background()
	}
	defer context.AfterFunc(stopping, func() { _ = c.SetReadDeadline(time.Now().Add(idleGrace)) })()
	br := bufio.NewReader(c)
	for last := ""; last == ""; {
		r, err := http.ReadRequest(br)
		if err != nil {
			return // the client has closed it, or it was idle for too long
		}
		_, _ = io.Copy(io.Discard, r.Body)
		if stopping.Err() != nil {
			last = "Connection: close\r\n"
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n", last) // the load counts a failure
	}
}
