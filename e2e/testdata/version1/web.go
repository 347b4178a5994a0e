package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// A door is a listener that can be shut while the socket stays open.
type door struct {
	*net.TCPListener
	mu     sync.Mutex
	turned sync.Cond
	ajar   bool
	parked bool // Accept waits for the door to open
}

// Accept waits for a connection while the door is open.
func (d *door) Accept() (net.Conn, error) {
	for {
		d.await()
		c, err := d.TCPListener.Accept()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return c, err
		}
	}
}

func (d *door) await() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.ajar {
		d.parked = true
		d.turned.Broadcast()
		d.turned.Wait()
	}
	d.parked = false
}

func (d *door) open() { d.turn(true, time.Time{}) }

// shut returns when every connection that was accepted is being served.
func (d *door) shut() {
	d.turn(false, time.Unix(1, 0))
	d.mu.Lock()
	defer d.mu.Unlock()
	for !d.parked {
		d.turned.Wait()
	}
}

func (d *door) turn(ajar bool, deadline time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.SetDeadline(deadline)
	d.ajar = ajar
	d.turned.Broadcast()
}

// A web is the HTTP server of a generation.
type web struct {
	mu       sync.Mutex
	changed  sync.Cond
	open     map[net.Conn]bool
	draining bool
}

// serve begins to serve behind a door that is shut.
func (g *generation) serve() error {
	f := g.file("http")
	if f == nil {
		return fmt.Errorf("no socket called http among %v", g.entries)
	}
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	g.door = &door{TCPListener: l.(*net.TCPListener)}
	g.door.turned.L = &g.door.mu
	g.web = &web{open: map[net.Conn]bool{}}
	g.web.changed.L = &g.web.mu
	g.door.turn(false, time.Unix(1, 0))
	srv := &http.Server{Handler: g.handler(), ConnState: g.web.note}
	go srv.Serve(g.door) // ends with the process
	return nil
}

func (g *generation) file(name string) *os.File {
	for i, e := range g.entries {
		if e.Name == name {
			return g.files[i]
		}
	}
	return nil
}

func (w *web) note(c net.Conn, s http.ConnState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch s {
	case http.StateNew:
		w.open[c] = true
	case http.StateClosed:
		delete(w.open, c)
		w.changed.Broadcast()
	}
}

// drain returns when each client has closed its connection, which every answer
// asks it for, or when the process is told to end.
func (w *web) drain(terminate <-chan os.Signal) {
	empty := make(chan struct{})
	go func() { // ends when no connection is left, or with the process
		w.mu.Lock()
		defer w.mu.Unlock()
		w.draining = true
		for len(w.open) > 0 {
			w.changed.Wait()
		}
		close(empty)
	}()
	select {
	case <-empty:
	case <-terminate:
	}
}

func (w *web) ending() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.draining
}

func (g *generation) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // a short body shows in bytes=
		d, _ := time.ParseDuration(r.URL.Query().Get("d"))
		time.Sleep(d)
		fmt.Fprintf(w, "version=%s generation=%d pid=%d bytes=%d\n", version, g.number, os.Getpid(), n)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.web.ending() {
			w.Header().Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}
