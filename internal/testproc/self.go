// Package testproc lets a test direct another process. The process connects to a socket
// of the test, says hello, executes the calls of the test and reports events. So a test
// can end a process between any two steps, and waits for events instead of time.
//
// [Connect] and [Self] are the side of the process, [Accept] and [Process] that of the
// test. The messages are gobs, which, unlike JSON, keep bytes that are not UTF-8.
package testproc

import (
	"context"
	"encoding/gob"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// A Hello is the first message of a process.
type Hello struct {
	PID, Parent int
	Args        []string
	Dir         string // "" if it was removed
	Env         map[string]string
	Text        string // of the program's own
}

// A request is one call of the test. The process answers with a message of the same ID.
type request struct {
	ID   int
	Do   string
	Args []string
}

// A message with an ID is the reply to a request. Without one it is an event.
type message struct {
	ID int
	Reply
	Event
}

// A Reply is the result of a call.
type Reply struct{ Text, Err string }

// An Event reports that something has happened in the process.
type Event struct{ What, About string }

// A Self is the process that executes the calls.
type Self struct {
	in      *gob.Decoder
	mu      sync.Mutex // guards what follows
	out     *gob.Encoder
	cancels map[int]func() // of calls under way
}

// NewHello describes this process.
func NewHello(args []string) Hello {
	dir, _ := os.Getwd() // it may be gone, which the test that removed it knows
	h := Hello{PID: os.Getpid(), Parent: os.Getppid(), Args: args, Dir: dir, Env: map[string]string{}}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		h.Env[name] = value
	}
	return h
}

// Connect says hello at the unix socket of a test.
func Connect(path string, hello Hello) (*Self, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	s := &Self{in: gob.NewDecoder(conn), out: gob.NewEncoder(conn), cancels: map[int]func(){}}
	s.send(hello)
	return s, nil
}

// Report sends an event. It is safe for concurrent use.
func (s *Self) Report(what, about string) { s.send(message{Event: Event{what, about}}) }

// send ends the process if the test has gone.
func (s *Self) send(what any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.out.Encode(what); err != nil {
		os.Exit(92)
	}
}

// Serve executes calls, each in a goroutine, and returns the exit status of the process: 0
// when the test has gone, or the argument of the call exit. Serve itself executes exit and
// cancel, because the other calls can block.
func (s *Self) Serve(execute func(ctx context.Context, do string, args []string) (text string, err error)) (status int) {
	for {
		var r request
		if s.in.Decode(&r) != nil {
			return 0
		}
		switch r.Do {
		case "exit":
			status, _ := strconv.Atoi(r.Args[0]) // the test's own number
			return status
		case "cancel":
			id, _ := strconv.Atoi(r.Args[0]) // as above
			s.mu.Lock()
			cancel := s.cancels[id]
			s.mu.Unlock()
			cancel()
			s.send(message{ID: r.ID})
			continue
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		s.mu.Lock() // also orders this call after the ones that were answered
		s.cancels[r.ID] = func() { cancel(errors.New("the caller has changed its mind")) }
		s.mu.Unlock()
		go func() { // ends with the call, or the process
			m := message{ID: r.ID}
			var err error
			if m.Text, err = execute(ctx, r.Do, r.Args); err != nil {
				m.Err = err.Error()
			}
			s.send(m)
		}()
	}
}
