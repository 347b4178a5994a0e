package e2e

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"
)

// echo is one answer of testdata/echo.
type echo struct{ datagram, generation, pid int }

// TestAlonePacketsAreAllAnswered sends datagrams at a constant rate through ten
// upgrades. Each must be answered once: none is lost in the socket's buffer or in
// the hands of a process that ends.
func TestAlonePacketsAreAllAnswered(t *testing.T) {
	t.Parallel()
	server := program(t, "./testdata/echo", "v1")
	a := startAlone(t, server)
	c := a.dialEcho()
	const datagrams, upgrades = 3000, 10
	unanswered := make(chan struct{}, 100) // more could overflow a socket buffer on a busy machine
	go func() {                            // ends after the last datagram, or with the test
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := range datagrams {
			<-tick.C
			select {
			case unanswered <- struct{}{}:
				fmt.Fprint(c, i) // one that is not sent shows as a missing answer
			case <-t.Context().Done():
				return
			}
		}
	}()
	made := 0
	reloaded := make(chan string, 1) // the reload command runs beside the answers
	reloaded <- ""
	answered, generations := map[int]bool{}, map[int]int{}
	for len(answered) < datagrams {
		e, err := receiveEcho(c)
		if err != nil {
			t.Fatalf("%d of %d datagrams answered: %v", len(answered), datagrams, err)
		}
		if answered[e.datagram] {
			t.Errorf("datagram %d was answered twice", e.datagram)
			continue
		}
		<-unanswered
		answered[e.datagram] = true
		generations[e.generation]++
		if e.generation == made+1 && made < upgrades && len(answered) > (made+1)*datagrams/(upgrades+2) {
			if why := <-reloaded; why != "" {
				t.Fatal(why)
			}
			made++
			a.pid = e.pid
			go func() { reloaded <- a.reload(server) }() // ends with the command
		}
	}
	if why := <-reloaded; why != "" {
		t.Error(why)
	}
	t.Log("answers by generation:", generations)
	if len(generations) != upgrades+1 {
		t.Errorf("%d generations answered, want those of %d upgrades", len(generations), upgrades)
	}
}

// dialEcho connects to the server once it answers.
func (a *alone) dialEcho() net.Conn {
	a.Helper()
	c, err := net.Dial("udp", a.address)
	a.must(err)
	a.Cleanup(func() { c.Close() })
	a.must(c.SetDeadline(time.Now().Add(patience)))
	for {
		if _, err = fmt.Fprint(c, -1); err == nil {
			_, err = receiveEcho(c)
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			a.must(err)
			return c
		}
	}
}

func receiveEcho(c net.Conn) (e echo, err error) {
	b := make([]byte, 512)
	n, err := c.Read(b)
	if err != nil {
		return e, err
	}
	_, err = fmt.Sscan(string(b[:n]), &e.datagram, &e.generation, &e.pid)
	return e, err
}
