package rews

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A tally is the state of a connection in all generations.
type tally struct{ In, Pushed, Pinged, Ponged int }

// model is a server that echoes and pushes, and its clients.
type model struct {
	*line
	step chan struct{} // a pusher may go on; buffered
	turn chan struct{} // an upgrade may come; buffered
	live atomic.Int64  // calls of the handler
}

// allow lets one receiver of c go on.
func allow(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ServeHTTP echoes messages, and pushes until the connection leaves.
func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.live.Add(1)
	defer m.live.Add(-1)
	allow(m.turn)
	state, resumed := State(r)
	var n tally
	if err := json.Unmarshal(state, &n); resumed != (err == nil) {
		m.Errorf("state %q, %v, %v", state, resumed, err)
	}
	p, err := accept(w, r)
	if err != nil {
		m.Errorf("the handshake: %v", err)
		return
	}
	defer p.Close()
	p.pong = func(text string) {
		n.Ponged++
		if text != fmt.Sprint(n.Ponged) {
			m.Errorf("pong %s, want %d", text, n.Ponged)
		}
	}
	stop := make(chan struct{})
	var pushing sync.WaitGroup
	pushing.Go(func() { m.push(p, &n, stop) })
	var message string
	for {
		if message, err = p.read(); err != nil {
			break
		}
		if _, err = p.write(fmt.Sprintf("%d %s", n.In, message), func() {}); err != nil {
			m.Errorf("an echo between two reads: %v", err)
			break
		}
		n.In++
		allow(m.step)
		allow(m.turn)
	}
	close(stop)
	pushing.Wait()
	state, _ = json.Marshal(n)
	if errors.Is(err, ErrMoving) && m.rand(2) == 0 {
		_ = p.frame(0x80|opClose, []byte{3, 233}) // as programs do after an error
	}
	if Leave(r, state) != errors.Is(err, ErrMoving) {
		m.Errorf("Leave after %v", err)
	}
}

func (m *model) rand(n int) int { return rand.IntN(n) }

// push writes numbered messages and pings.
func (m *model) push(p *peer, n *tally, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		if m.rand(4) == 0 {
			if p.frame(0x80|opPing, fmt.Append(nil, n.Pinged+1)) != nil {
				return
			}
			n.Pinged++
		}
		text := fmt.Sprintf("push %d %s", n.Pushed+1, strings.Repeat("p", m.rand(300)))
		if begun, err := p.write(text, func() {}); err != nil {
			if begun && errors.Is(err, ErrMoving) {
				m.Error("a message was cut")
			}
			return
		}
		n.Pushed++
		select {
		case <-stop:
			return
		case <-m.step:
		}
	}
}

// client sends messages without a wait for answers, and checks all that comes.
func (m *model) client(n int, query string) {
	p := dial(m, m.address, "/"+query)
	var mu sync.Mutex
	var sent []string
	pings, pongs := 0, 0
	p.pong = func(text string) {
		pongs++
		if text != fmt.Sprint(pongs) {
			m.Errorf("pong %s, want %d", text, pongs)
		}
	}
	heard := make(chan error, 1)
	go func() { heard <- m.hear(p, &mu, &sent) }() // joined below
	for i := range n {
		size := []int{0, 5, 125, 126, 127, 300, 4000, 4200, 65600}[m.rand(9)]
		message := fmt.Sprintf("%d %s", i, strings.Repeat("m", m.rand(size+1)))
		mu.Lock()
		sent = append(sent, message)
		mu.Unlock()
		ping := func() {
			if m.rand(3) == 0 {
				pings++
				if err := p.put(appendFrame(nil, 0x80|opPing, fmt.Append(nil, pings), true)); err != nil {
					m.Error(err)
				}
			}
		}
		if _, err := p.write(message, ping); err != nil {
			m.Errorf("message %d: %v", i, err)
			return
		}
	}
	m.bye(p, heard)
	if len(sent) > 0 {
		m.Errorf("%d messages have no echo, the first is %.20q", len(sent), sent[0])
	}
	if pongs != pings {
		m.Errorf("%d pongs to %d pings", pongs, pings)
	}
}

// bye ends a client, and waits for the end of the connection.
func (m *model) bye(p *peer, heard <-chan error) {
	if m.rand(2) == 0 {
		p.closeWrite()
		if err := <-heard; !errors.Is(err, io.EOF) {
			m.Errorf("after a half-close: %v", err)
		}
		return
	}
	if err := p.frame(0x80|opClose, []byte{3, 232}); err != nil {
		m.Error(err)
	}
	if err := <-heard; !errors.Is(err, closeError{1000}) {
		m.Errorf("after a close frame: %v", err)
	}
}

// hear checks echoes and pushes, in order, each once.
func (m *model) hear(p *peer, mu *sync.Mutex, sent *[]string) error {
	in, pushed := 0, 0
	for {
		text, err := p.read()
		if err != nil {
			return err
		}
		var number int
		if _, err := fmt.Sscanf(text, "push %d ", &number); err == nil {
			pushed++
			allow(m.step)
			if number != pushed {
				m.Errorf("push %d, want %d", number, pushed)
				pushed = number
			}
			continue
		}
		mu.Lock()
		if len(*sent) == 0 {
			m.Errorf("echo of nothing: %.20q", text)
		} else if want := fmt.Sprintf("%d %s", in, (*sent)[0]); text != want {
			m.Errorf("echo %.20q, want %.20q", text, want)
		} else {
			*sent = (*sent)[1:]
		}
		mu.Unlock()
		in++
	}
}

// TestEachMessageArrivesOnceThroughMoves has clients that send random fragments, pings, half-closes
// and close frames while generations follow each other, and some moves are refused.
func TestEachMessageArrivesOnceThroughMoves(t *testing.T) {
	m := &model{step: make(chan struct{}, 1), turn: make(chan struct{}, 1)}
	m.line = newLine(t, func() http.Handler { return m })
	m.refuse = func() bool { return m.rand(8) == 0 }
	m.spread = 5 * time.Millisecond
	over := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 6 {
		clients.Go(func() { m.client(30, []string{"", "?raw"}[i%2]) })
	}
	go func() { clients.Wait(); close(over) }() // ends with the clients
	upgrades := m.upgradeUntil(over)
	if m.moves.Load() == 0 {
		t.Error("no connection has moved")
	}
	t.Logf("%d upgrades, %d moves, %d refused", upgrades, m.moves.Load(), m.refusals.Load())
	m.stop()
	for m.live.Load() > 0 {
		allow(m.step)
	}
}

// upgradeUntil upgrades after each step of a client, until over is closed.
func (m *model) upgradeUntil(over <-chan struct{}) (upgrades int) {
	for {
		select {
		case <-m.turn:
			m.upgrade()
			upgrades++
		case <-over:
			return upgrades
		}
	}
}
