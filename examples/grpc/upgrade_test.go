//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/cutover-go/cutover/examples/grpc/internal/load"
	"github.com/cutover-go/cutover/examples/internal/supervised"
)

// TestMain is the entry of the tests, and of the servers that they start.
func TestMain(m *testing.M) { supervised.Main(m, main) }

// A site is the server with its units, supervised as systemd would.
type site struct {
	*supervised.Service
	addr string
}

func newSite(t *testing.T, args ...string) *site {
	t.Helper()
	t.Parallel()
	s := supervised.New(t, daemon(), args...)
	return &site{s, s.Address("cutover-grpc.socket")}
}

func (s *site) dial() *grpc.ClientConn {
	s.Helper()
	c, err := grpc.NewClient("passthrough:///"+s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	s.Must(err)
	s.Cleanup(func() { c.Close() })
	return c
}

// say returns the line of who answers on c.
func (s *site) say(c *grpc.ClientConn) string {
	s.Helper()
	out := new(wrapperspb.StringValue)
	s.Must(c.Invoke(s.Ctx, "/cutover.example.Greeter/Say", wrapperspb.String("hello"), out))
	return out.Value
}

// stream begins one and returns it with its first message.
func (s *site) stream(c *grpc.ClientConn, method string, in any) (grpc.ClientStream, string) {
	s.Helper()
	st, err := c.NewStream(s.Ctx, &grpc.StreamDesc{ServerStreams: true}, "/cutover.example.Greeter/"+method)
	s.Must(err)
	s.Must(st.SendMsg(in))
	s.Must(st.CloseSend())
	m := new(wrapperspb.StringValue)
	s.Must(st.RecvMsg(m))
	return st, m.Value
}

// rest returns how many more messages st has, and its end.
func rest(st grpc.ClientStream) (n int, err error) {
	for {
		if err := st.RecvMsg(new(wrapperspb.StringValue)); err != nil {
			return n, err
		}
		n++
	}
}

func generation(line string) (n int) {
	_, after, _ := strings.Cut(line, "generation=")
	_, _ = fmt.Sscan(after, &n) // 0 fails the test
	return n
}

// TestUpgradesLoseNoCall asks on kept connections and on new ones, and streams,
// through twenty upgrades.
func TestUpgradesLoseNoCall(t *testing.T) {
	s := newSite(t)
	stop, reports := make(chan struct{}), make(chan load.Report, 1)
	go func() { // ends with stop
		r, err := load.Run(stop, load.Config{Addr: s.addr, Conns: 8, Kept: 200, Fresh: 50, Streams: 5, Count: 5})
		if err != nil {
			t.Error(err)
		}
		reports <- r
	}()
	const upgrades = 20
	for i := range upgrades {
		s.Must(s.Reload(s.Ctx, s.Unit))
		st, first := s.stream(s.dial(), "Count", wrapperspb.Int32(3)) // the load goes on for a while
		if n := generation(first); n != i+2 {
			t.Errorf("generation %d answers after upgrade %d", n, i+1)
		}
		_, err := rest(st)
		if err != io.EOF {
			t.Error(err)
		}
	}
	close(stop)
	r := <-reports
	t.Logf("\n%v", r)
	for _, c := range []load.Tally{r.Kept, r.Fresh, r.Streams} {
		if c.Lost() > 0 || c.Answered == 0 {
			t.Errorf("%v", c)
		}
	}
	if len(r.Generations) < 2 {
		t.Errorf("generations that have answered: %v, want several", r.Generations)
	}
}

// TestStreamsInWork has one that ends before the deadline, one that waits to be told,
// and one that is too long.
func TestStreamsInWork(t *testing.T) {
	s := newSite(t, "-drain", "3s")
	c := s.dial()
	fits, _ := s.stream(c, "Count", wrapperspb.Int32(10))
	told, _ := s.stream(c, "Watch", new(emptypb.Empty))
	long, first := s.stream(c, "Count", wrapperspb.Int32(10000))
	if generation(first) != 1 {
		t.Fatalf("%s answers first", first)
	}
	s.Must(s.Reload(s.Ctx, s.Unit))
	for generation(s.say(c)) != 2 { // until it has heard of GOAWAY; fails when the time is over
	}
	if _, err := rest(told); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "call again") {
		t.Errorf("a stream without an end gets %v", err)
	}
	if n, err := rest(fits); n != 9 || err != io.EOF {
		t.Errorf("a stream that fits: %d more messages, %v", n, err)
	}
	if n, err := rest(long); err == io.EOF {
		t.Errorf("a stream that is too long: %d more messages, %v", n, err)
	}
	for s.journal() == "" && s.Ctx.Err() == nil {
		s.say(c)
	}
	if text := s.journal(); !strings.Contains(text, "cut 1 of its clients (/cutover.example.Greeter/Count of ") {
		t.Errorf("the predecessor says %q", text)
	}
}

// journal is the line of the drain deadline, "" if there is none yet.
func (s *site) journal() string {
	text, err := s.Manager.Log(s.Ctx, s.Unit)
	s.Must(err)
	_, after, _ := strings.Cut(text, "work was cut at the drain deadline")
	return after
}

// TestASilentClientHoldsNobody: one that connects and says nothing keeps GracefulStop
// from telling the others, and must not keep them from being answered.
func TestASilentClientHoldsNobody(t *testing.T) {
	s := newSite(t)
	silent, err := net.Dial("tcp", s.addr)
	s.Must(err)
	defer silent.Close()
	c := s.dial()
	s.say(c)
	s.Must(s.Reload(s.Ctx, s.Unit))
	for generation(s.say(c)) != 2 { // fails when the time is over
	}
}

// TestAPredecessorCoversForACrash: with the successor dead, what drains accepts
// again until the manager's restart.
func TestAPredecessorCoversForACrash(t *testing.T) {
	s := newSite(t)
	long, _ := s.stream(s.dial(), "Count", wrapperspb.Int32(20))
	s.Must(s.Reload(s.Ctx, s.Unit))
	pid, err := s.Show(s.Ctx, s.Unit, "MainPID")
	s.Must(err)
	var main int
	_, err = fmt.Sscan(pid, &main)
	s.Must(err)
	s.Must(syscall.Kill(main, syscall.SIGKILL))
	if line := s.say(s.dial()); generation(line) != 1 || strings.Contains(line, "pid="+pid+" ") {
		t.Errorf("after the crash %s answers", line)
	}
	if n, err := rest(long); n != 19 || err != io.EOF {
		t.Errorf("the long stream: %d more messages, %v", n, err)
	}
	s.Must(s.Wait(s.Ctx, s.Unit, func(p map[string]string) bool { return p["NRestarts"] == "1" && p["ActiveState"] == "active" }))
	s.say(s.dial())
}
