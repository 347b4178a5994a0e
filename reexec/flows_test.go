//go:build linux

package reexec_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/testproc"
	"github.com/cutover-go/cutover/reexec"
)

// listenFlows claims a UDP socket and answers each datagram, less its first word, with
// the number of this process, its pid, and the rest of what was said.
func (a *actor) listenFlows(ctx context.Context, route func([]byte, netip.AddrPort) uint32, name, network, address string, tables ...*peers) (string, error) {
	c, owner, err := a.u.ListenFlows(ctx, name, network, address, route)
	if err != nil {
		return "", err
	}
	for _, p := range tables {
		if err := p.join(a.u, owner); err != nil {
			return "", err
		}
	}
	go func() { // ends when c is closed
		b := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				a.Report("flows ended", err.Error())
				return
			}
			_, rest, _ := strings.Cut(string(b[:n]), " ")
			fmt.Fprintf(answering{c, from}, "%d %d %s", owner, os.Getpid(), rest)
		}
	}()
	return c.LocalAddr().String(), nil
}

// numbered is a route for datagrams that begin with the number of their owner.
func numbered(datagram []byte, _ netip.AddrPort) uint32 {
	first, _, _ := strings.Cut(string(datagram), " ")
	owner, _ := strconv.ParseUint(first, 10, 32) // 0 where there is no number
	return uint32(owner)
}

// peers is a route for datagrams that do not say whose they are.
type peers struct {
	mu     sync.Mutex
	own    uint32
	owners map[netip.AddrPort]uint32
}

func (p *peers) route(_ []byte, from netip.AddrPort) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owners[from] == 0 {
		p.owners[from] = p.own
	}
	return p.owners[from]
}

// join has the table go with the sockets.
func (p *peers) join(u *reexec.Upgrader, own uint32) error {
	p.own = own
	err := u.Save("peers", func() (reexec.State, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		data, err := json.Marshal(p.owners)
		return reexec.State{Data: data}, err
	})
	return errors.Join(err, u.Restore("peers", func(s reexec.State) error { return json.Unmarshal(s.Data, &p.owners) }))
}

// answering writes to one peer of a socket.
type answering struct {
	net.PacketConn
	to net.Addr
}

func (a answering) Write(b []byte) (int, error) { return a.WriteTo(b, a.to) }

// A flow is a client's connection with one process.
type flow struct {
	*scene
	conn  net.Conn
	owner uint32
	host  int // pid of the process that has it
	said  int
}

// begin opens a flow with whoever reads the socket.
func (s *scene) begin(address string) *flow {
	s.Helper()
	conn, err := net.Dial("udp", address)
	s.must(err)
	s.Cleanup(func() { conn.Close() })
	f := &flow{scene: s, conn: conn}
	f.owner, f.host, err = f.ask()
	s.must(err)
	return f
}

// ask says something in the flow, once, and returns who answers: no datagram may be
// lost.
func (f *flow) ask() (owner uint32, host int, err error) {
	f.Helper()
	f.said++
	text := fmt.Sprintf("words %d", f.said)
	deadline, _ := f.ctx.Deadline()
	f.must(f.conn.SetDeadline(deadline))
	if _, err := fmt.Fprintf(f.conn, "%d %s", f.owner, text); err != nil {
		return 0, 0, err
	}
	b := make([]byte, 2048)
	n, err := f.conn.Read(b)
	if err != nil {
		return 0, 0, err
	}
	parts := strings.SplitN(string(b[:n]), " ", 3)
	if len(parts) != 3 || parts[2] != text {
		f.Errorf("the answer to %q is %q", text, b[:n])
	}
	_, err = fmt.Sscan(string(b[:n]), &owner, &host)
	return owner, host, err
}

// goesOn checks that the flow is still with its process.
func (f *flow) goesOn() {
	f.Helper()
	for range 3 {
		owner, host, err := f.ask()
		if err != nil || owner != f.owner || host != f.host {
			f.Errorf("a flow of process %d, number %d: process %d, number %d answers, %v", f.host, f.owner, host, owner, err)
		}
	}
}

// orphaned checks that r answers in the place of the flow's own process.
func (f *flow) orphaned(r *process) {
	f.Helper()
	if owner, host, err := f.ask(); err != nil || host != r.PID || owner == f.owner {
		f.Errorf("a flow of process %d, which is gone: process %d, number %d answers, %v; want process %d", f.host, host, owner, err, r.PID)
	}
}

// beginsWith checks that a new flow is r's.
func (s *scene) beginsWith(r *process, address string) *flow {
	s.Helper()
	f := s.begin(address)
	if f.host != r.PID {
		s.Errorf("process %d begins a flow, want %d", f.host, r.PID)
	}
	return f
}

// openFlows starts a first generation with flows.
func (s *scene) openFlows(options string) (*process, string) {
	s.Helper()
	r := s.start()
	return r, r.arriveWithFlows(options)
}

func (r *process) arriveWithFlows(options string) (address string) {
	r.Helper()
	r.Do("new", options)
	address = r.Do("listen flows", "q", "udp", anywhere)
	r.Do("ready")
	return address
}

// handFlowsOver upgrades.
func (r *process) handFlowsOver(options string) *process {
	r.Helper()
	upgrade := r.Begin("upgrade")
	next := r.next()
	next.arriveWithFlows(options)
	upgrade.Text()
	next.state("serving")
	return next
}

func TestFlowsStayWithTheirProcess(t *testing.T) {
	s := newScene(t)
	r, address := s.openFlows("{}")
	all := []*process{r}
	flows := []*flow{s.beginsWith(r, address)}
	for range 3 {
		r.Do("hold", "flow")
		r = r.handFlowsOver("{}")
		all = append(all, r)
		flows = append(flows, s.beginsWith(r, address))
		for _, f := range flows {
			f.goesOn()
		}
	}
	for _, i := range []int{1, 0} { // they end in any order
		drain := all[i].Begin("drain")
		all[i].Do("release", "flow")
		drain.Text()
		all[i].Do("close")
		all[i].Exit(0)
		flows[i].orphaned(r)
	}
	flows[2].goesOn()
	flows[3].goesOn()
	r = r.handFlowsOver("{}")
	flows[2].goesOn()
	flows[3].goesOn()
	s.beginsWith(r, address)
}

// TestFlowsAreKnownByTheirPeers where datagrams do not say whose they are.
func TestFlowsAreKnownByTheirPeers(t *testing.T) {
	s := newScene(t)
	arrive := func(r *process) (address string) {
		r.Do("new", "{}")
		address = r.Do("listen peers", "q", "udp", anywhere)
		r.Do("ready")
		return address
	}
	r := s.start()
	address := arrive(r)
	var flows []*flow
	for range 4 {
		flows = append(flows, s.beginsWith(r, address))
		for _, f := range flows {
			f.goesOn()
		}
		r.Do("hold", "flow")
		upgrade := r.Begin("upgrade")
		r = s.next()
		arrive(r)
		upgrade.Text()
		r.state("serving")
	}
	for _, f := range flows {
		f.goesOn()
	}
}

// TestFlowsAreFinishedBeforeTheProgramIsReplacedInPlace.
func TestFlowsAreFinishedBeforeTheProgramIsReplacedInPlace(t *testing.T) {
	s := newScene(t)
	const inPlace = `{"Mode":"in-place"}`
	one, address := s.openFlows(inPlace)
	f := s.beginsWith(one, address)
	one.Do("hold", "flow")
	one.Begin("upgrade") // its waiter is replaced, too
	tried := s.next()
	tried.Do("new", inPlace)
	tried.Do("listen flows", "q", "udp", anywhere)
	tried.Begin("ready").Fails("tried")
	tried.Do("close")
	tried.Exit(0)
	one.state("quiescing")
	f.goesOn()
	s.refused(address)
	one.Begin("release", "flow") // it may be replaced before it can answer
	two := s.next()
	if two.PID != one.PID {
		t.Errorf("process %d comes, want %d", two.PID, one.PID)
	}
	two.arriveWithFlows(inPlace)
	f.orphaned(two)
	s.beginsWith(two, address).goesOn()
}

// TestFlowsOfAnUndoneUpgrade are those that the successor has begun on its trial: it
// finishes them if it lives.
func TestFlowsOfAnUndoneUpgrade(t *testing.T) {
	s := newScene(t)
	one, address := s.openFlows(trial)
	first := s.beginsWith(one, address)
	try := func() (two *process, upgrade *testproc.Call, tried *flow) {
		upgrade = one.Begin("upgrade")
		two = s.next()
		two.arriveWithFlows(trial)
		one.state("trial")
		tried = s.beginsWith(two, address)
		first.goesOn()
		two.Do("hold", "flow")
		return two, upgrade, tried
	}
	two, upgrade, tried := try()
	two.Do("fail", "no luck")
	upgrade.Fails("no luck")
	first.goesOn()
	tried.goesOn()
	three, upgrade, crashed := try()
	tried.goesOn()
	if crashed.owner == tried.owner {
		t.Errorf("two processes have the number %d", tried.owner)
	}
	three.kill()
	upgrade.Fails("SIGKILL")
	crashed.orphaned(one)
	first.goesOn()
	tried.goesOn()
	s.beginsWith(one, address)
	drain := two.Begin("drain")
	two.Do("release", "flow")
	drain.Text()
	two.Do("close")
	two.Exit(0)
	tried.orphaned(one)
}

// TestFlowsOutliveACrash of the process that reads the socket.
func TestFlowsOutliveACrash(t *testing.T) {
	s := newScene(t)
	one, address := s.openFlows("{}")
	first := s.beginsWith(one, address)
	one.Do("hold", "flow")
	two := one.handFlowsOver("{}")
	second := s.beginsWith(two, address)
	two.Do("hold", "flow")
	three := two.handFlowsOver("{}")
	third := s.beginsWith(three, address)
	three.kill()
	two.state("serving")
	third.orphaned(two)
	for _, f := range []*flow{first, second, s.beginsWith(two, address)} {
		f.goesOn()
	}
	four := two.handFlowsOver("{}")
	for _, f := range []*flow{first, second, s.beginsWith(four, address)} {
		f.goesOn()
	}
}

// TestAGenerationWithoutFlowsHandsThemOn: an upgrade to a program that has none and
// back loses nothing.
func TestAGenerationWithoutFlowsHandsThemOn(t *testing.T) {
	s := newScene(t)
	one, address := s.openFlows("{}")
	first := s.beginsWith(one, address)
	one.Do("hold", "flow")
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", "{}")
	two.Do("listen packet", "q", "udp", anywhere) // and does not read
	two.Do("ready")
	upgrade.Text()
	two.state("serving")
	waits, err := net.Dial("udp", address)
	s.must(err)
	defer waits.Close()
	_, err = waits.Write([]byte("0 hello"))
	s.must(err)
	three := two.handFlowsOver("{}")
	first.goesOn()
	s.must(waits.SetDeadline(time.Now().Add(patience)))
	b := make([]byte, 100)
	n, err := waits.Read(b)
	if want := fmt.Sprintf("2 %d hello", three.PID); err != nil || string(b[:n]) != want {
		t.Errorf("what waited in the socket's buffer gets %q, %v; want %q", b[:n], err, want)
	}
	s.beginsWith(three, address).goesOn()
}

// TestFlowsAreFinishedAtAStop, of all generations, in whatever order they end, and no
// new ones are begun.
func TestFlowsAreFinishedAtAStop(t *testing.T) {
	t.Parallel()
	for _, supervised := range []bool{false, true} {
		for _, mainFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("supervised %v, main first %v", supervised, mainFirst), func(t *testing.T) {
				s := newScene(t)
				if supervised {
					s.supervise()
				}
				one, address := s.openFlows(signals)
				first := s.beginsWith(one, address)
				one.Do("hold", "flow")
				two := one.handFlowsOver(signals)
				second := s.beginsWith(two, address)
				two.Do("hold", "flow")
				s.must(unix.Kill(-one.PID, unix.SIGTERM))
				one.state("stopping")
				two.state("stopping")
				first.goesOn()
				second.goesOn()
				s.refused(address)
				ends, stays, left := one, second, two
				if mainFirst {
					ends, stays, left = two, first, one
				}
				drain := ends.Begin("drain")
				ends.Do("release", "flow")
				drain.Text()
				ends.Do("close")
				ends.Exit(0)
				stays.goesOn()
				drain = left.Begin("drain")
				left.Do("release", "flow")
				drain.Text()
				left.Do("close")
			})
		}
	}
}

// refused checks that nobody answers a new flow.
func (s *scene) refused(address string) {
	s.Helper()
	c, err := net.Dial("udp", address)
	s.must(err)
	defer c.Close()
	_, err = c.Write([]byte("0 hello"))
	s.must(err)
	s.must(c.SetDeadline(time.Now().Add(50 * time.Millisecond)))
	b := make([]byte, 100)
	if n, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Errorf("a new flow gets %q, %v", b[:n], err)
	}
}

// TestInboxesDoNotPileUp over generations, and do not go into the fd store.
func TestInboxesDoNotPileUp(t *testing.T) {
	const many, slack = 10, 6 // some of an upgrade's goroutines end a little later
	s := newScene(t)
	v := s.supervise()
	r, address := s.openFlows("{}")
	succession := func(n int) {
		for range n {
			next := r.handFlowsOver("{}")
			r.Do("drain")
			r.Do("close")
			r.Exit(0)
			r = next
		}
	}
	succession(1)
	before := r.inside()
	succession(many)
	r.comesBackTo(census{before.goroutines + slack, before.descriptors + slack})
	s.beginsWith(r, address).goesOn()
	v.caughtUp()
	v.mu.Lock()
	defer v.mu.Unlock()
	stored := 0
	for _, m := range v.heard {
		if strings.Contains(m.text, "FDSTORE=1") && !strings.Contains(m.text, "FDNAME=cutover.0.cutover.") {
			stored++
		}
	}
	if stored != 1 { // the socket, by the first generation
		t.Errorf("%d descriptors went into the fd store: %v", stored, v.heard)
	}
}

func TestFlowsNeedUDP(t *testing.T) {
	s := newScene(t)
	r := s.start()
	r.Do("new", "{}")
	r.Begin("listen flows", "q", "unixgram", "@"+s.dir).Fails("flows need a UDP socket")
	r.Begin("listen flows", "cutover.flows.0.q", "udp", anywhere).Fails("reserved for this library")
}

// TestTheDrainDeadlineEndsAProgramThatOnlyReadsFlows, after an upgrade and after a stop.
func TestTheDrainDeadlineEndsAProgramThatOnlyReadsFlows(t *testing.T) {
	s := newScene(t)
	const short = `{"Drain":1000000}`
	one := s.start()
	one.Do("new", short)
	address := one.Do("listen flows", "q", "udp", anywhere)
	one.Do("ready")
	f := s.begin(address)
	upgrade := one.Begin("upgrade")
	two := s.next()
	two.Do("new", short)
	two.Do("listen flows", "q", "udp", anywhere)
	two.Do("ready")
	upgrade.Text()
	if _, host, err := f.ask(); err != nil || host != one.PID {
		t.Errorf("before the end of the drain process %d answers, %v, want %d", host, err, one.PID)
	}
	one.Await("flows ended", "use of closed network connection")
	one.Do("close")
	two.Do("stop")
	two.Await("flows ended", "use of closed network connection")
	two.Do("close")
}
