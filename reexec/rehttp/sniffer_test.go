//go:build linux

package rehttp_test

import (
	"bufio"
	"net"
	"testing"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// A sniffer looks at the first byte of each connection before its Accept returns it, as
// multiplexers of protocols on one port do.
type sniffer struct {
	net.Listener
	waiting chan struct{} // gets a value for each connection that is looked at
	out     chan net.Conn
	ended   chan struct{}
}

type sniffed struct {
	net.Conn
	in *bufio.Reader
}

func (s sniffed) Read(p []byte) (int, error) { return s.in.Read(p) }

func (s *sniffer) run() {
	defer close(s.ended)
	for {
		c, err := s.Listener.Accept()
		if err != nil {
			return
		}
		go func() { // ends with the first byte
			in := bufio.NewReader(c)
			s.waiting <- struct{}{}
			_, _ = in.Peek(1) // the server reports the error
			s.out <- sniffed{c, in}
		}()
	}
}

func (s *sniffer) Accept() (net.Conn, error) {
	select {
	case c := <-s.out:
		return c, nil
	case <-s.ended:
		return nil, net.ErrClosed
	}
}

// Accept of the sniffer has not returned the connections when the generation drains.
func TestConnectionsThatASnifferHasAcceptedAreAnswered(t *testing.T) {
	const clients = 20
	h := newHouse(t, reexec.Options{})
	s := &sniffer{h.ln, make(chan struct{}), make(chan net.Conn), make(chan struct{})}
	go s.run() // ends with the listener
	h.open(t.Context(), s)
	var callers []*caller
	for range clients {
		callers = append(callers, h.call())
		<-s.waiting
	}
	h.u.Stop()
	<-protocol.Of(h.u).Stopping()
	for _, c := range callers {
		h.isToldToClose(c)
	}
	if err := h.ends(); err != nil {
		t.Error(err)
	}
}
