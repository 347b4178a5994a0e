// Package load queries a DNS server at a constant rate and counts the losses. It sends
// each query once.
package load

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// patience limits the wait for the last answers. A query without an answer by then is
// lost, not slow.
const patience = 10 * time.Second

// A Report is the result of all queries over UDP.
type Report struct {
	Sent, Answered, Twice int
	Generations           map[int]int // answers by generation
}

func (r Report) String() string {
	return fmt.Sprintf("%d sent, %d lost, %d answered twice, by generation %v", r.Sent, r.Sent-r.Answered, r.Twice, r.Generations)
}

// A round is the answers to one load.
type round struct {
	c        net.Conn
	report   Report
	answered map[int]bool
}

// UDP asks rate queries a second until stop is closed, waits for the answers and
// reports.
func UDP(stop <-chan struct{}, address string, rate int) (Report, error) {
	c, err := net.Dial("udp", address)
	if err != nil {
		return Report{}, err
	}
	defer c.Close()
	if err := c.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil { // answers must not be lost with us
		return Report{}, err
	}
	r := &round{c: c, report: Report{Generations: map[int]int{}}, answered: map[int]bool{}}
	heard := make(chan error, 1)
	sent := make(chan int, 1)
	go func() { heard <- r.hear(sent) }() // ends when all is answered, or with its patience
	n, err := ask(stop, c, rate)
	sent <- n
	if err := errors.Join(err, c.SetReadDeadline(time.Now().Add(patience))); err != nil {
		return Report{}, err
	}
	// What wakes the reader that waits for an answer though all have come.
	if _, err := c.Write(query(-1)); err != nil {
		return Report{}, err
	}
	err = <-heard
	return r.report, err
}

// ask sends queries at a constant rate and returns how many.
func ask(stop <-chan struct{}, c net.Conn, rate int) (n int, err error) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	burst := max(1, rate/200) // a delay is not made up in one burst
	for begin := time.Now(); ; {
		select {
		case <-tick.C:
		case <-stop:
			return n, nil
		}
		due := int(time.Since(begin).Seconds() * float64(rate))
		for range min(due-n, burst) {
			if _, err := c.Write(query(n)); err != nil {
				return n, err
			}
			n++
		}
	}
}

// query is number n, which its name says.
func query(n int) []byte {
	m := new(dns.Msg)
	m.SetQuestion(fmt.Sprintf("q%d.example.", n), dns.TypeTXT)
	m.Id = uint16(n)
	text, err := m.Pack()
	if err != nil {
		panic(err) // a name of ours
	}
	return text
}

// hear reads answers until all that were sent are there, or nothing more comes.
func (r *round) hear(sent <-chan int) error {
	b := make([]byte, dns.DefaultMsgSize)
	total := -1
	for total < 0 || r.report.Answered < total {
		n, err := r.c.Read(b)
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			if total < 0 { // the last query, which tells, is among the lost
				r.report.Sent = <-sent
			}
			return nil // missing answers count as lost
		}
		if err != nil {
			return err
		}
		number, generation, err := parse(b[:n])
		switch {
		case err != nil:
			return err
		case number < 0:
			total = <-sent
			r.report.Sent = total
		case r.answered[number]:
			r.report.Twice++
		default:
			r.answered[number] = true
			r.report.Answered++
			r.report.Generations[generation]++
		}
	}
	return nil
}

// parse reads an answer to query number n.
func parse(text []byte) (n, generation int, err error) {
	m := new(dns.Msg)
	if err := m.Unpack(text); err != nil {
		return 0, 0, err
	}
	if len(m.Question) != 1 || len(m.Answer) != 1 {
		return 0, 0, fmt.Errorf("not an answer: %v", m)
	}
	txt, ok := m.Answer[0].(*dns.TXT)
	if !ok {
		return 0, 0, fmt.Errorf("not an answer: %v", m)
	}
	if _, err := fmt.Sscanf(m.Question[0].Name, "q%d.example.", &n); err != nil {
		return 0, 0, err
	}
	var pid int
	_, err = fmt.Sscanf(strings.Join(txt.Txt, ""), "generation=%d pid=%d", &generation, &pid)
	return n, generation, err
}
