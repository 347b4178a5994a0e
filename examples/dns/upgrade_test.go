//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/examples/dns/internal/load"
)

const unit = "cutover-dns.service"

// patience bounds whatever a test waits for: it says that something hangs.
const patience = 2 * time.Minute

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) {
	upgradetest.Init()
	if os.Getenv("EXAMPLE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A site is the server with its units, supervised as systemd would.
type site struct {
	testing.TB
	*upgradetest.Manager
	ctx      context.Context
	udp, tcp string // addresses
}

func newSite(t *testing.T) *site {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	m, err := upgradetest.NewManager(upgradetest.Options{Env: []string{"EXAMPLE=1", "GORACE=atexit_sleep_ms=0"}})
	s := &site{TB: t, Manager: m, ctx: ctx}
	s.must(err)
	t.Cleanup(s.end)
	files, err := daemon().Units()
	s.must(err)
	for _, f := range files {
		s.must(m.Install(ctx, f.Name, f.Text))
	}
	program, err := os.Executable()
	s.must(err)
	s.must(m.Install(ctx, "cutover-dns-udp.socket.d/test.conf", "[Socket]\nListenDatagram=\nListenDatagram=127.0.0.1:0\n"))
	s.must(m.Install(ctx, "cutover-dns-tcp.socket.d/test.conf", "[Socket]\nListenStream=\nListenStream=127.0.0.1:0\n"))
	s.must(m.Install(ctx, unit+".d/test.conf",
		fmt.Sprintf("[Service]\nExecStart=\nExecStart=%s\nExecReload=\nExecReload=%[1]s reload\n", program)))
	s.must(m.Start(ctx, unit))
	s.udp, s.tcp = s.listen("udp"), s.listen("tcp")
	return s
}

func (s *site) listen(name string) string {
	s.Helper()
	listen, err := s.Show(s.ctx, "cutover-dns-"+name+".socket", "Listen")
	s.must(err)
	address, _, _ := strings.Cut(listen, " ")
	return address
}

func (s *site) end() {
	if s.Failed() {
		text, err := s.Manager.Log(context.Background(), unit)
		s.Logf("journal (%v):\n%s", err, text)
	}
	if err := s.Close(); err != nil {
		s.Error(err)
	}
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) dial() *dns.Conn {
	s.Helper()
	c, err := net.Dial("tcp", s.tcp)
	s.must(err)
	s.Cleanup(func() { c.Close() })
	s.must(c.SetDeadline(time.Now().Add(patience)))
	return &dns.Conn{Conn: c}
}

// ask asks on c, and returns the generation that answers.
func (s *site) ask(c *dns.Conn) (generation int) {
	s.Helper()
	s.must(c.WriteMsg(new(dns.Msg).SetQuestion("example.", dns.TypeTXT)))
	m, err := c.ReadMsg()
	s.must(err)
	_, err = fmt.Sscanf(m.Answer[0].(*dns.TXT).Txt[0], "generation=%d", &generation)
	s.must(err)
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
		s.must(s.Reload(s.ctx, unit))
		for range 20 {
			c := s.dial()
			s.ask(c)
			s.must(c.Close())
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
		s.must(s.Reload(s.ctx, unit))
	}
}

// TestGarbageHoldsNobody: what is no query must not keep the process from its end.
func TestGarbageHoldsNobody(t *testing.T) {
	s := newSite(t)
	c, err := net.Dial("udp", s.udp)
	s.must(err)
	defer c.Close()
	good, err := new(dns.Msg).SetQuestion("example.", dns.TypeTXT).Pack()
	s.must(err)
	answer := append([]byte(nil), good...)
	answer[2] |= 0x80
	for _, text := range [][]byte{{1}, make([]byte, 12), append(make([]byte, 12), 0xff), good[:15], answer, good} {
		_, err := c.Write(text)
		s.must(err)
	}
	s.must(c.SetDeadline(time.Now().Add(patience)))
	for b := make([]byte, 512); ; {
		n, err := c.Read(b)
		s.must(err)
		if n > len(good) {
			break
		}
	}
	old := s.dial()
	s.ask(old)
	s.must(s.Stop(s.ctx, unit))
	if _, err := old.ReadMsg(); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection gets %v, want its end", err)
	}
	text, err := s.Manager.Log(s.ctx, unit)
	s.must(err)
	if strings.Contains(text, "deadline") {
		t.Errorf("the process has not come to its end:\n%s", text)
	}
}
