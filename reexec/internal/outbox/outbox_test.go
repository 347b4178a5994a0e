//go:build linux

package outbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/gate"
	"github.com/cutover-go/cutover/reexec/internal/received"
)

// process is the next process, as the outbox sees it: its formats and the received batches.
type process struct {
	*Outbox
	idle    *received.IdleSet
	batches []handover.Connections
	broken  error // result of the next batches
	watch   sync.WaitGroup
}

func newProcess(t *testing.T) *process {
	t.Helper()
	idle := &received.IdleSet{}
	p := &process{idle: idle, Outbox: New(idle, time.Minute)}
	p.connect()
	t.Cleanup(func() {
		idle.Close()
		p.watch.Wait()
	})
	return p
}

// connect makes p the next process.
func (p *process) connect() {
	p.SetNext(map[string][]string{"a": {"f"}}, func(c handover.Connections) error {
		if p.broken == nil {
			p.batches = append(p.batches, c)
		}
		return p.broken
	})
}

// conn returns one end of a connection, which the caller closes, and the other end.
func conn(t *testing.T) (*fd.FD, net.Conn) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := fd.New(pair[1]).Conn()
	if err != nil {
		t.Fatal(err)
	}
	f := fd.New(pair[0])
	t.Cleanup(func() { _ = peer.Close() })
	return f, peer
}

// offer offers a connection called name, and returns its result.
func (p *process) offer(t *testing.T, name string, waited bool) <-chan error {
	t.Helper()
	f, _ := conn(t)
	t.Cleanup(func() { _ = f.Close() })
	result := make(chan error, 1)
	p.Offer(&Conn{Connection: handover.Connection{Name: name}, File: f, Waited: waited, Answer: func(err error) { result <- err }})
	return result
}

// addIdle adds n idle connections, and returns their listener and the peers.
func (p *process) addIdle(t *testing.T, n int) (*gate.Listener, map[*received.Idle]net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := gate.NewListener("a", ln.(gate.Acceptor), drain.NewCounter(func() {}))
	t.Cleanup(func() { _ = g.Close() })
	peers := map[*received.Idle]net.Conn{}
	for range n {
		f, peer := conn(t)
		q := received.NewIdle(received.Queued{
			Conn: &received.Conn{Connection: handover.Connection{Name: "a", Format: "f"}, FD: f},
			Wrap: func(c net.Conn, _ handover.Connection) net.Conn { return c },
		}, g)
		if !p.idle.Add(q, p.watch.Go) {
			t.Fatal("a connection cannot be idle")
		}
		peers[q] = peer
	}
	return g, peers
}

// sent checks the number and the name of the connections in the next batch.
func (p *process) sent(t *testing.T, want string) {
	t.Helper()
	got := "none"
	if len(p.batches) > 0 {
		all := p.batches[0].Connections
		got = fmt.Sprint(len(all), " ", all[0].Name)
		p.batches = p.batches[1:]
	}
	if got != want {
		t.Errorf("sent: %s, want %s", got, want)
	}
}

func TestConnectionsOfMoveAreSentFirst(t *testing.T) {
	p := newProcess(t)
	p.offer(t, "first", true) // no other is sent before its answer
	for _, name := range []string{"offered 1", "waited 1", "offered 2", "waited 2"} {
		p.offer(t, name, name[0] == 'w')
	}
	p.sent(t, "1 first")
	p.Taken(handover.Taken{})
	var names []string
	for _, c := range p.batches[0].Connections {
		names = append(names, c.Name)
	}
	if want := []string{"waited 1", "waited 2", "offered 1", "offered 2"}; !slices.Equal(names, want) {
		t.Errorf("sent %q, want %q", names, want)
	}
	p.Taken(handover.Taken{})
}

func TestIdleConnectionsAreSentInPortions(t *testing.T) {
	p := newProcess(t)
	g, peers := p.addIdle(t, minPortion+2)
	p.SendIdleInPortions()
	p.sent(t, fmt.Sprint(minPortion, " a"))
	for q, peer := range peers { // those that are not sent still reach the program
		if slices.ContainsFunc(p.Outbox.sent, func(c *Conn) bool { return c.File == q.FD }) {
			continue
		}
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		break
	}
	c, err := g.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p.offer(t, "waited", true)
	p.Taken(handover.Taken{})
	p.sent(t, "1 waited")
	p.Taken(handover.Taken{})
	p.sent(t, "none") // the pause is not over
	p.PauseOver()
	p.sent(t, "1 a")
	p.Taken(handover.Taken{})
}

func TestPauseBeginsWhenAPortionIsTaken(t *testing.T) {
	p := newProcess(t)
	p.addIdle(t, minPortion+1)
	p.SendIdleInPortions()
	p.PauseOver() // before it is taken
	p.Pause.Stop()
	p.pause, p.began = time.Hour, time.Time{} // a slow portion
	p.sent(t, fmt.Sprint(minPortion, " a"))
	p.Taken(handover.Taken{})
	if !p.Pause.Stop() {
		t.Error("no pause runs")
	}
	p.sent(t, "none")
	p.offer(t, "waited", true)
	p.sent(t, "1 waited")
	p.PauseOver()
	p.Taken(handover.Taken{})
	p.sent(t, "1 a")
	p.Taken(handover.Taken{})
}

func TestOfferInAPauseDoesNotProlongIt(t *testing.T) {
	p := newProcess(t)
	p.addIdle(t, minPortion+1)
	p.SendIdleInPortions()
	p.Taken(handover.Taken{})
	p.offer(t, "waited", true)
	p.Pause.Stop()
	p.Taken(handover.Taken{})
	if p.Pause.Stop() {
		t.Error("the pause begins again")
	}
}

// A machine with nothing else to do takes larger portions without pauses, a busy one smaller
// portions with whole pauses.
func TestPortionsAndPausesFollowTheLoad(t *testing.T) {
	const whole = 3 * time.Millisecond
	for _, c := range []struct {
		took          time.Duration
		portion, next int
		pause         time.Duration
	}{
		{time.Millisecond, minPortion, 2 * minPortion, 0},
		{time.Millisecond, fd.MaxRights, fd.MaxRights, 0},
		{quick, minPortion, minPortion, quick / 8},
		{slow, 2 * minPortion, 2 * minPortion, slow / 8},
		{2 * slow, 4 * minPortion, 2 * minPortion, whole},
		{time.Hour, minPortion, minPortion, whole},
	} {
		o := Outbox{portion: c.portion, pause: whole}
		if pause := o.adapt(c.took); pause != c.pause || o.portion != c.next {
			t.Errorf("after %d in %v: %d after %v, want %d after %v", c.portion, c.took, o.portion, pause, c.next, c.pause)
		}
	}
}

func TestPausesTakeAPartOfTheDrainTime(t *testing.T) {
	for _, c := range []struct {
		idle    int
		drain   time.Duration
		portion int
		pause   time.Duration
	}{
		{0, time.Minute, minPortion, maxPause},
		{20*minPortion + 1, time.Minute, minPortion, maxPause},
		{50*minPortion + 1, time.Minute, minPortion, 2 * time.Millisecond},
		{64 * 100, time.Minute, 100, allPauses / 63},
		{100*maxPortion + 1, time.Minute, maxPortion, time.Millisecond},
		{100*maxPortion + 1, 80 * time.Millisecond, maxPortion, 100 * time.Microsecond},
	} {
		if portion, pause := portions(c.idle, c.drain); portion != c.portion || pause != c.pause {
			t.Errorf("%d idle, drain %v: portions of %d and pauses of %v, want %d and %v", c.idle, c.drain, portion, pause, c.portion, c.pause)
		}
	}
}

func TestThirdProcessGetsUnansweredAndIdleConnections(t *testing.T) {
	p := newProcess(t)
	p.addIdle(t, 2*minPortion+1)
	p.SendIdleInPortions()
	p.PauseOver()
	p.Pause.Stop()
	p.sent(t, fmt.Sprint(minPortion, " a"))
	p.NoNext()
	p.RetryAll()
	p.connect()
	p.SendMore()
	p.sent(t, fmt.Sprint(minPortion, " a"))
	p.began = time.Time{} // slow, so the next portion is no larger
	p.Taken(handover.Taken{})
	<-p.Pause.C
	p.PauseOver()
	p.sent(t, fmt.Sprint(minPortion, " a"))
	p.Taken(handover.Taken{})
}

// A pause of a drain that was undone does not delay the next drain.
func TestNextDrainBeginsWithoutAPause(t *testing.T) {
	p := newProcess(t)
	p.addIdle(t, minPortion+1)
	p.SendIdleInPortions()
	p.sent(t, fmt.Sprint(minPortion, " a"))
	p.Taken(handover.Taken{})
	p.SendIdleInPortions()
	p.sent(t, "1 a")
	p.Taken(handover.Taken{})
}

func TestNothingIsSentToAProcessThatEnds(t *testing.T) {
	p := newProcess(t)
	p.addIdle(t, minPortion+1)
	p.SendIdleInPortions()
	p.sent(t, fmt.Sprint(minPortion, " a"))
	first := p.offer(t, "waited", true)
	p.Taken(handover.Taken{Ending: true, Refused: []int{0}})
	second := p.offer(t, "waited", true)
	p.PauseOver()
	for _, result := range []<-chan error{first, second} {
		if err := <-result; err == nil {
			t.Error("a connection has moved to a process that ends")
		}
	}
	p.sent(t, "none")
	if p.Takes("a", "f") || len(p.waiting) != 1 {
		t.Errorf("%d wait, want the idle one that was refused", len(p.waiting))
	}
	p.Abandon(errors.New("stopped"))
}

func TestProgramGetsAllConnectionsWhenTheLineBreaks(t *testing.T) {
	p := newProcess(t)
	g, _ := p.addIdle(t, 2*minPortion)
	p.broken = errors.New("broken pipe")
	answers := 0
	for range fd.MaxRights + 1 { // more than one batch
		f, _ := conn(t)
		defer f.Close()
		p.waiting = append(p.waiting, &Conn{File: f, Answer: func(err error) {
			if answers++; !errors.Is(err, p.broken) {
				t.Errorf("answer %v, want %v", err, p.broken)
			}
		}})
	}
	p.SendIdleInPortions()
	if answers != fd.MaxRights+1 {
		t.Errorf("%d answers, want %d", answers, fd.MaxRights+1)
	}
	for range 2 * minPortion {
		c, err := g.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
}

func TestEndOfTheNextProcessIsNoRefusal(t *testing.T) {
	for _, broken := range []error{io.EOF, context.DeadlineExceeded} {
		p := newProcess(t)
		p.broken = broken
		f, _ := conn(t)
		defer f.Close()
		takes := false
		p.Offer(&Conn{File: f, Answer: func(error) { takes = p.Takes("a", "f") }})
		if hangs := broken != io.EOF; takes != hangs {
			t.Errorf("after %v the next process takes the format: %v, want %v", broken, takes, hangs)
		}
	}
}

func TestStopSendsIdleConnectionsWithoutPauses(t *testing.T) {
	p := newProcess(t)
	p.addIdle(t, minPortion+1)
	p.SendIdleInPortions()
	p.SendIdle()
	for _, want := range []int{minPortion, 1} {
		p.sent(t, fmt.Sprint(want, " a"))
		p.Taken(handover.Taken{})
	}
}

func TestClosedConnectionsAreSkipped(t *testing.T) {
	p := newProcess(t)
	closed := 0
	for range fd.MaxRights + 1 { // more than one batch
		p.waiting = append(p.waiting, &Conn{File: fd.New(-1), Answer: func(err error) {
			if closed++; !errors.Is(err, net.ErrClosed) {
				t.Errorf("a closed connection: %v", err)
			}
		}})
	}
	p.offer(t, "open", false)
	if closed != fd.MaxRights+1 {
		t.Errorf("%d answers, want %d", closed, fd.MaxRights+1)
	}
	p.sent(t, "1 open")
	p.Taken(handover.Taken{})
}

// Answer may close connections, also others of the same batch, when the line has broken or
// one of them was closed.
func TestAnswerMayCloseConnections(t *testing.T) {
	p := newProcess(t)
	p.broken = errors.New("broken pipe")
	var conns []net.Conn
	for range 3 {
		f, _ := conn(t)
		c, err := f.Conn()
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	if err := conns[1].Close(); err != nil {
		t.Fatal(err)
	}
	answers := 0
	for _, c := range conns {
		p.waiting = append(p.waiting, &Conn{File: c.(*net.UnixConn), Answer: func(err error) {
			if answers++; err == nil {
				t.Error("a connection has moved over a broken line")
			}
			for _, c := range conns {
				_ = c.Close() // some are closed
			}
		}})
	}
	p.SendMore()
	if answers != len(conns) {
		t.Errorf("%d answers for %d connections", answers, len(conns))
	}
}

func TestRefusedConnectionStays(t *testing.T) {
	p := newProcess(t)
	refused, taken := p.offer(t, "first", false), p.offer(t, "second", false)
	p.Taken(handover.Taken{Refused: []int{0}})
	p.Taken(handover.Taken{})
	if err := <-refused; err == nil {
		t.Error("a refused connection has moved")
	}
	if err := <-taken; err != nil {
		t.Error(err)
	}
}
