//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/cutover-go/cutover/examples/dns/internal/load"
	"github.com/cutover-go/cutover/examples/internal/supervised"
)

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) { supervised.Main(m, main) }

// A site is the server with its units, supervised as systemd would.
type site struct {
	*supervised.Service
	udp, tcp string // addresses
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := supervised.New(t, daemon())
	return &site{s, s.Address("cutover-dns-udp.socket"), s.Address("cutover-dns-tcp.socket")}
}

func (s *site) dial() *dns.Conn {
	s.Helper()
	c, err := net.Dial("tcp", s.tcp)
	s.Must(err)
	s.Cleanup(func() { c.Close() })
	s.Must(c.SetDeadline(time.Now().Add(supervised.Patience)))
	return &dns.Conn{Conn: c}
}

// ask asks on c, and returns the generation that answers.
func (s *site) ask(c *dns.Conn) (generation int) {
	s.Helper()
	s.Must(c.WriteMsg(new(dns.Msg).SetQuestion("example.", dns.TypeTXT)))
	m, err := c.ReadMsg()
	s.Must(err)
	_, err = fmt.Sscanf(m.Answer[0].(*dns.TXT).Txt[0], "generation=%d", &generation)
	s.Must(err)
	return generation
}

// TestUpgradesLoseNoQuery asks 5,000 times a second over UDP, without a second try,
// through twenty upgrades.
func TestUpgradesLoseNoQuery(t *testing.T) {
	s := newSite(t)
	stop, reports := make(chan struct{}), make(chan load.Report, 1)
	go func() { // ends with stop
		r, err := load.UDP(stop, s.udp, 5000)
		if err != nil {
			t.Error(err)
		}
		reports <- r
	}()
	const upgrades = 20
	for range upgrades {
		s.Must(s.Reload(s.Ctx, s.Unit))
		for range 20 {
			c := s.dial()
			s.ask(c)
			s.Must(c.Close())
		}
	}
	close(stop)
	r := <-reports
	t.Log(r)
	if r.Sent == 0 || r.Answered != r.Sent || r.Twice != 0 || len(r.Generations) != upgrades+1 {
		t.Errorf("%v; drops in the kernel: %s", r, drops(s.udp))
	}
}

// drops is what the kernel says of the sockets at address: the last number of a line
// counts datagrams for which there was no room.
func drops(address string) string {
	_, port, _ := strings.Cut(address, ":")
	var n int
	_, _ = fmt.Sscan(port, &n)
	text, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return err.Error()
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, fmt.Sprintf(":%04X 00000000:0000", n)) {
			return line[strings.LastIndex(strings.TrimSpace(line), " "):]
		}
	}
	return "unknown"
}

// TestATCPConnectionIsFinishedByItsOwner, while others come to the successor.
func TestATCPConnectionIsFinishedByItsOwner(t *testing.T) {
	s := newSite(t)
	c := s.dial()
	for want := range 3 {
		if got := s.ask(c); got != 1 {
			t.Errorf("generation %d answers on the old connection", got)
		}
		if got := s.ask(s.dial()); got != want+1 {
			t.Errorf("generation %d answers on a new connection, want %d", got, want+1)
		}
		s.Must(s.Reload(s.Ctx, s.Unit))
	}
}

// TestGarbageHoldsNobody: what is no query must not keep the process from its end.
func TestGarbageHoldsNobody(t *testing.T) {
	s := newSite(t)
	c, err := net.Dial("udp", s.udp)
	s.Must(err)
	defer c.Close()
	good, err := new(dns.Msg).SetQuestion("example.", dns.TypeTXT).Pack()
	s.Must(err)
	answer := append([]byte(nil), good...)
	answer[2] |= 0x80
	for _, text := range [][]byte{{1}, make([]byte, 12), append(make([]byte, 12), 0xff), good[:15], answer, good} {
		_, err := c.Write(text)
		s.Must(err)
	}
	s.Must(c.SetDeadline(time.Now().Add(supervised.Patience)))
	for b := make([]byte, 512); ; {
		n, err := c.Read(b)
		s.Must(err)
		if n > len(good) {
			break
		}
	}
	old := s.dial()
	s.ask(old)
	s.Must(s.Stop(s.Ctx, s.Unit))
	if _, err := old.ReadMsg(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection gets %v, want its end", err)
	}
	text, err := s.Manager.Log(s.Ctx, s.Unit)
	s.Must(err)
	if strings.Contains(text, "deadline") {
		t.Errorf("the process has not come to its end:\n%s", text)
	}
}
