package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	coder "github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"

	"github.com/cutover-go/cutover/reexec/rehttp"
	"github.com/cutover-go/cutover/reexec/rews"
)

// handler serves the same with two libraries, and pushes a message in each interval. The
// connections of rews.Handler move.
func handler(push time.Duration) http.Handler {
	s := &server{push}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /coder", s.coder)
	mux.HandleFunc("GET /gorilla", s.gorilla)
	return rews.Handler(mux)
}

type server struct{ push time.Duration }

func (s *server) coder(w http.ResponseWriter, r *http.Request) {
	c, err := coder.Accept(w, r, &coder.AcceptOptions{Subprotocols: []string{"count"}})
	if err != nil {
		return // Accept has told the client
	}
	defer c.CloseNow()
	ctx := context.Background() // coder closes the connection when the context of a call ends
	s.serve(r,
		func() ([]byte, error) { _, text, err := c.Read(ctx); return text, err },
		func(text []byte) error { return c.Write(ctx, coder.MessageText, text) })
}

var upgrader = gorilla.Upgrader{Subprotocols: []string{"count"}, EnableCompression: true}

func (s *server) gorilla(w http.ResponseWriter, r *http.Request) {
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has told the client
	}
	defer c.Close()
	var mu sync.Mutex // gorilla allows one writer
	s.serve(r,
		func() ([]byte, error) { _, text, err := c.ReadMessage(); return text, err },
		func(text []byte) error {
			mu.Lock()
			defer mu.Unlock()
			return c.WriteMessage(gorilla.TextMessage, text)
		})
}

// A session is the state of a connection. It goes from one process to the next.
type session struct{ Received, Pushed int }

// serve serves a connection until it ends, or moves to the next process.
func (s *server) serve(r *http.Request, read func() ([]byte, error), write func([]byte) error) {
	var c session
	generation := rehttp.Upgrader(r.Context()).Generation()
	if state, moved := rews.State(r); moved {
		if err := json.Unmarshal(state, &c); err != nil {
			fmt.Fprintln(os.Stderr, err) // another version of this program has written it
			return
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	var pushing sync.WaitGroup
	pushing.Go(func() {
		for every := time.Tick(s.push); ; c.Pushed++ {
			select {
			case <-every:
			case <-ctx.Done():
				return
			}
			if write(fmt.Appendf(nil, "push %d", c.Pushed)) != nil {
				return
			}
		}
	})
	for ; ; c.Received++ {
		message, err := read()
		if err != nil {
			break // the client has gone, or err is rews.ErrMoving
		}
		if write(fmt.Appendf(nil, "answer %d %d %s", c.Received, generation, message)) != nil {
			break
		}
	}
	stop()
	pushing.Wait()
	state, err := json.Marshal(c)
	if err == nil {
		rews.Leave(r, state)
	}
}
