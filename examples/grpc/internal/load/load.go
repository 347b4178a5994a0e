// Package load calls the server at a constant rate and counts the losses. It repeats no
// call. grpc itself repeats a call that the server declares unprocessed, and counts it
// as a transparent retry.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// patience is that of one call. It says that something hangs, never that it is
// slow.
const patience = 30 * time.Second

// A Config says what to ask for. Rates are per second.
type Config struct {
	Addr    string
	Conns   int // kept connections
	Kept    int // rate of calls on them
	Fresh   int // rate of calls that dial first
	Streams int // rate of streams, on kept connections
	Count   int // messages of a stream, ten a second
}

// A Report is the result of all calls.
type Report struct {
	Kept, Fresh, Streams Tally
	TransparentRetries   int
	Generations          map[int]int // answers by generation; of a stream, its last
}

// A Tally is one class of calls.
type Tally struct {
	Sent, Answered int
	First          []string // of those that were lost
}

// Lost is the number of calls without an answer.
func (t Tally) Lost() int { return t.Sent - t.Answered }

func (t Tally) String() string { return fmt.Sprintf("%d sent, %d lost %q", t.Sent, t.Lost(), t.First) }

func (r Report) String() string {
	return fmt.Sprintf("kept: %v\nfresh: %v\nstreams: %v\n%d transparent retries, answers by generation: %v",
		r.Kept, r.Fresh, r.Streams, r.TransparentRetries, r.Generations)
}

type run struct {
	Config
	conns   []*grpc.ClientConn
	calls   sync.WaitGroup
	mu      sync.Mutex // guards report
	report  Report
	pacings sync.WaitGroup
}

// Run asks until stop is closed, waits for all answers and reports.
func Run(stop <-chan struct{}, c Config) (Report, error) {
	r := &run{Config: c, report: Report{Generations: map[int]int{}}}
	defer r.hangUp()
	for range c.Conns {
		conn, err := r.dial()
		if err != nil {
			return Report{}, err
		}
		r.conns = append(r.conns, conn)
	}
	r.pace(stop, c.Kept, &r.report.Kept, func(ctx context.Context, n int) (int, error) { return say(ctx, r.conns[n%len(r.conns)], n) })
	r.pace(stop, c.Fresh, &r.report.Fresh, r.sayFresh)
	r.pace(stop, c.Streams, &r.report.Streams, func(ctx context.Context, n int) (int, error) { return r.count(ctx, r.conns[n%len(r.conns)]) })
	r.pacings.Wait()
	r.calls.Wait()
	return r.report, nil
}

func (r *run) hangUp() {
	for _, c := range r.conns {
		_ = c.Close() // no call uses it any more
	}
}

func (r *run) dial() (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+r.Addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(), grpc.WithStatsHandler(retries{r}))
}

// pace begins a call at each tick, whether or not those before have been answered.
func (r *run) pace(stop <-chan struct{}, rate int, t *Tally, call func(context.Context, int) (generation int, err error)) {
	if rate == 0 {
		return
	}
	r.pacings.Go(func() { // ends with stop
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			r.mu.Lock()
			t.Sent++
			r.mu.Unlock()
			r.calls.Go(func() { // ends with its patience
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				generation, err := call(ctx, n)
				r.note(t, generation, err)
			})
		}
	})
}

func (r *run) note(t *Tally, generation int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		t.Answered++
		r.report.Generations[generation]++
	} else if len(t.First) < 5 {
		t.First = append(t.First, time.Now().Format("15:04:05.000 ")+err.Error())
	}
}

// say is one call, whose answer must be its own.
func say(ctx context.Context, c *grpc.ClientConn, n int) (generation int, err error) {
	out := new(wrapperspb.StringValue)
	if err := c.Invoke(ctx, "/cutover.example.Greeter/Say", wrapperspb.String(fmt.Sprint(n)), out); err != nil {
		return 0, err
	}
	var got int
	if generation, got, err = parse(out.Value); err == nil && got != n {
		err = fmt.Errorf("answer %q to %d", out.Value, n)
	}
	return generation, err
}

// parse reads a line of the server whose text is a number.
func parse(line string) (generation, n int, err error) {
	var version string
	var pid int
	if _, err = fmt.Sscanf(line, "version=%s generation=%d pid=%d %d", &version, &generation, &pid, &n); err != nil {
		err = fmt.Errorf("answer %q: %w", line, err)
	}
	return generation, n, err
}

func (r *run) sayFresh(ctx context.Context, n int) (generation int, err error) {
	c, err := r.dial()
	if err != nil {
		return 0, err
	}
	generation, err = say(ctx, c, n)
	return generation, errors.Join(err, c.Close())
}

// count is one stream, which must bring all its messages.
func (r *run) count(ctx context.Context, c *grpc.ClientConn) (generation int, err error) {
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/cutover.example.Greeter/Count")
	if err != nil {
		return 0, err
	}
	if err := errors.Join(s.SendMsg(wrapperspb.Int32(int32(r.Count))), s.CloseSend()); err != nil {
		return 0, err
	}
	m := new(wrapperspb.StringValue)
	for want := 1; ; want++ {
		err := s.RecvMsg(m)
		if err == io.EOF && want == r.Count+1 {
			return generation, nil
		}
		var got int
		if err == nil {
			generation, got, err = parse(m.Value)
		}
		if err != nil || got != want {
			return 0, fmt.Errorf("message %d of %d: %q: %w", want, r.Count, m.Value, err)
		}
	}
}

// retries counts the transparent retries of a connection.
type retries struct{ r *run }

func (retries) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (retries) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (retries) HandleConn(context.Context, stats.ConnStats)                       {}

func (h retries) HandleRPC(_ context.Context, s stats.RPCStats) {
	if b, ok := s.(*stats.Begin); ok && b.IsTransparentRetryAttempt {
		h.r.mu.Lock()
		defer h.r.mu.Unlock()
		h.r.report.TransparentRetries++
	}
}
