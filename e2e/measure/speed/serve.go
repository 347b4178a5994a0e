package speed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	callers     = 8                      // each with a connection, and the next request when the last is answered
	roundLength = 250 * time.Millisecond // of one server, then it is the other one's turn
	turns       = 3                      // rounds of serving for a round of upgrades
)

// http measures kept connections.
func (b *bench) http(ctx context.Context) error {
	err := b.serve(ctx, "HTTP/1, kept connections", "http", func(c net.Conn) func() error {
		br := bufio.NewReader(c)
		return func() error { return ask(c, br) }
	})
	if err != nil {
		return err
	}
	return b.serve(ctx, "HTTP/2 without TLS, kept connections", "http2", speaks2)
}

// speaks2 returns a function that sends a request over HTTP/2 on c.
func speaks2(c net.Conn) func() error {
	t := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	t.Protocols.SetUnencryptedHTTP2(true)
	return func() error {
		r, err := http.NewRequest(http.MethodPost, "http://"+c.RemoteAddr().String(), strings.NewReader("hello"))
		if err != nil {
			return err
		}
		answer, err := t.RoundTrip(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", answer.Status)
		}
		return nil
	}
}

// udp measures echoes.
func (b *bench) udp(ctx context.Context) error {
	if err := b.serve(ctx, "UDP echo", "udp", echoes); err != nil {
		return err
	}
	return b.callsPerDatagram(ctx)
}

// tcp measures echoes, and connections with one echo each.
func (b *bench) tcp(ctx context.Context) error {
	if err := b.serve(ctx, "TCP echo", "tcp", echoes); err != nil {
		return err
	}
	return b.serve(ctx, "TCP connection with one echo", "tcp", func(c net.Conn) func() error {
		return func() error {
			fresh, err := net.Dial("tcp", c.RemoteAddr().String())
			if err != nil {
				return err
			}
			defer fresh.Close()
			_ = fresh.(*net.TCPConn).SetLinger(0) // else the ports of closed connections run out
			return echoes(fresh)()
		}
	})
}

func echoes(c net.Conn) func() error {
	text, answer := []byte("a message of an ordinary length"), make([]byte, 512)
	return func() error {
		if _, err := c.Write(text); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second)) // a datagram may be lost
		_, err := c.Read(answer)
		return err
	}
}

// serve compares a mode of the server with its bare one.
func (b *bench) serve(ctx context.Context, figure, mode string, client func(net.Conn) func() error) error {
	network := "tcp"
	if mode == "udp" {
		network = "udp"
	}
	var both [2]*measured
	for i, args := range [][]string{{"-mode", mode}, {"-mode", mode, "-bare"}} {
		m, err := b.meet(ctx, network, client, args...)
		if err != nil {
			return err
		}
		defer m.hangUp()
		both[i] = m
	}
	for i := range b.rounds * turns {
		for j := range both {
			if err := both[(i+j)%2].round(); err != nil {
				return err
			}
		}
	}
	b.compare(figure+", answers a second / bare", "/s", both[0].rates, both[1].rates)
	b.compare(figure+", processor time for each / bare", "us", both[0].cpus, both[1].cpus)
	_ = both[1].in.Close() // it ends, and stop reaps both
	return both[0].stop()
}

// measured is a server with its clients and the figures of its rounds.
type measured struct {
	*server
	conns []net.Conn
	ask   []func() error
	rates []float64 // answers a second
	cpus  []float64 // microseconds for each
}

func (b *bench) meet(ctx context.Context, network string, client func(net.Conn) func() error, args ...string) (*measured, error) {
	s, err := b.start(ctx, args...)
	if err != nil {
		return nil, err
	}
	m := &measured{server: s}
	for range callers {
		c, err := net.Dial(network, s.addr)
		if err != nil {
			return nil, err
		}
		m.conns, m.ask = append(m.conns, c), append(m.ask, client(c))
	}
	err = m.round() // to warm up
	m.rates, m.cpus = nil, nil
	return m, err
}

func (m *measured) hangUp() {
	for _, c := range m.conns {
		_ = c.Close() // it has been used, and is no more
	}
}

// round has all clients ask for a while.
func (m *measured) round() error {
	before, err := m.cpu()
	if err != nil {
		return err
	}
	began := time.Now()
	counts, failed := make([]int, len(m.ask)), make([]error, len(m.ask))
	var all sync.WaitGroup
	for i, ask := range m.ask {
		all.Go(func() {
			for time.Since(began) < roundLength && failed[i] == nil {
				failed[i] = ask()
				counts[i]++
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	after, err := m.cpu()
	if err := errors.Join(append(failed, err)...); err != nil {
		return fmt.Errorf("%s: %w", m.addr, err)
	}
	n := 0
	for _, c := range counts {
		n += c
	}
	m.rates = append(m.rates, float64(n)/took.Seconds())
	m.cpus = append(m.cpus, float64((after-before).Microseconds())/float64(n))
	return nil
}
