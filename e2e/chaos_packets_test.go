package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
)

const (
	packetClass   = "packet"
	packetGap     = 50 * time.Millisecond
	packetAddress = "127.0.0.1:7071"
)

// packets are datagrams, each of which is answered once.
type packets struct {
	k    *chaosClients
	conn net.Conn

	mu      sync.Mutex
	waiting map[string]time.Time // by id, when they were sent
	done    map[string]bool      // answered
}

// sendPackets sends a datagram each packetGap until ctx ends, and returns when all are
// answered or lost.
func (k *chaosClients) sendPackets(ctx context.Context) {
	conn, err := k.site.dial(ctx, "udp", packetAddress)
	if err != nil {
		k.fail(load.Failure{Class: packetClass, Kind: load.DialFailed, Due: time.Now(), Err: err})
		return
	}
	p := &packets{k: k, conn: conn, waiting: map[string]time.Time{}, done: map[string]bool{}}
	read := make(chan struct{})
	go func() { // ends with conn
		defer close(read)
		p.receive()
	}()
	tick := time.NewTicker(packetGap)
	defer tick.Stop()
	halt := ctx.Done()
	for number := 0; ; number++ {
		select {
		case <-tick.C:
		case <-k.site.ctx.Done():
			halt = nil
		}
		if halt != nil {
			select {
			case <-halt:
				halt = nil
			default:
				p.send(packetID(number))
			}
		}
		if left := p.expire(); halt == nil && left == 0 || k.site.ctx.Err() != nil {
			break
		}
	}
	conn.Close()
	<-read
}

// packetID names one datagram in forty slow: its answer takes the server seconds.
func packetID(number int) string {
	if number%40 == 0 {
		return fmt.Sprintf("%s-slow-%d", packetClass, number)
	}
	return fmt.Sprintf("%s-%d", packetClass, number)
}

func (p *packets) send(id string) {
	p.mu.Lock()
	p.waiting[id] = time.Now()
	p.mu.Unlock()
	if _, err := fmt.Fprint(p.conn, id); err != nil { // that an earlier one was refused
		_, _ = fmt.Fprint(p.conn, id) // one that is not sent is missed
	}
}

// receive takes answers until the connection is closed.
func (p *packets) receive() {
	buf := make([]byte, 512)
	for {
		n, err := p.conn.Read(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // a datagram was refused; it is missed
		}
		id := field(string(buf[:n]), "id")
		p.mu.Lock()
		sent, expected := p.waiting[id]
		again := p.done[id]
		delete(p.waiting, id)
		p.done[id] = true
		p.mu.Unlock()
		switch {
		case again:
			p.k.fail(load.Failure{Class: packetClass, ID: id, Kind: load.Malformed, Due: time.Now(), Err: errors.New("answered twice")})
		case expected:
			p.k.packets.Add(1)
		default:
			p.k.fail(load.Failure{Class: packetClass, ID: id, Kind: load.Malformed, Due: sent, Err: fmt.Errorf("the answer %q to no request", buf[:n])})
		}
	}
}

// expire gives up on datagrams that are not answered in time, and returns how many wait.
func (p *packets) expire() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, sent := range p.waiting {
		if time.Since(sent) > chaosTimeout {
			delete(p.waiting, id)
			p.done[id] = true // an answer after that is one too many; it is told
			p.k.fail(load.Failure{Class: packetClass, ID: id, Kind: load.Timeout, Due: sent, Err: errors.New("no answer")})
		}
	}
	return len(p.waiting)
}
