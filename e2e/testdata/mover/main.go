// Command mover answers HTTP/1.1 requests by hand and moves each connection to its
// successor with package reexec alone, without rehttp.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

const format = "between/1" // requests

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen at")
	flag.Parse()
	if err := serve(context.Background(), *addr); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, addr string) (err error) {
	u, err := reexec.New(reexec.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, u.Close()) }()
	ln, err := u.Listen(ctx, "http", "tcp", addr)
	if err := errors.Join(err, u.Receive("http", format)); err != nil {
		return err
	}
	s := &server{u: u, conns: make(map[net.Conn]bool)}
	go s.accept(ctx, ln) // ends with ln
	if err := u.Ready(ctx); errors.Is(err, reexec.ErrStopped) {
		return nil // asked to end before it was ready, or only tried before an upgrade in place
	} else if err != nil {
		return err
	}
	draining := make(chan struct{})
	u.OnDrain(sync.OnceFunc(func() { close(draining) }))
	<-draining
	began := time.Now()
	s.wake()
	err = u.Drain(ctx)
	moved := time.Since(began)
	err = errors.Join(err, ln.Close())
	fmt.Fprintf(os.Stderr, "generation %d has drained in %d us, and was done after %d us\n",
		u.Generation(), moved.Microseconds(), time.Since(began).Microseconds())
	return err
}

type server struct {
	u *reexec.Upgrader

	mu    sync.Mutex
	conns map[net.Conn]bool
	woken bool
}

func (s *server) accept(ctx context.Context, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		release := s.u.Hold()
		if m, ok := c.(*reexec.Moved); ok {
			c = m.Conn
		}
		s.mu.Lock()
		s.conns[c] = true
		if s.woken {
			_ = c.SetReadDeadline(time.Unix(1, 0))
		}
		s.mu.Unlock()
		go func() { // ends with the connection; Drain waits for the release
			defer release()
			s.serve(ctx, c)
		}()
	}
}

// wake ends the reads of all connections.
func (s *server) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.woken = true
	for c := range s.conns {
		_ = c.SetReadDeadline(time.Unix(1, 0)) // fails on a dead one, as its read does
	}
}

// serve answers until the connection ends, or moves. Its clients send a request and
// wait for the answer, so that nothing is in the buffer between two of them.
func (s *server) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	br := bufio.NewReader(c)
	for {
		if _, err := br.Peek(1); errors.Is(err, os.ErrDeadlineExceeded) {
			_ = c.SetReadDeadline(time.Time{})
			err := s.u.Move(ctx, "http", c, format, nil)
			if err == nil {
				return
			}
			log.Print(err)
		}
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		line := fmt.Sprintf("version=dev generation=%d pid=%d\n", s.u.Generation(), os.Getpid())
		if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(line), line); err != nil {
			return
		}
	}
}
