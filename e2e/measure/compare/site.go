package compare

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/load"
	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/e2e/internal/recorder"
)

// limit is the most time for a server to answer again.
const limit = time.Minute

const slowLoad = "requests of 1 s"

// classes are the load.
func (p plan) classes() []load.Class {
	all := []load.Class{
		{Name: "kept connections", Rate: 400, Conns: 32, Body: []byte("kept")},
		{Name: "new connections", Rate: 250, Body: []byte("new")},
		{Name: slowLoad, Rate: 20, Method: "GET", Path: "/stream?d=1s&bytes=1024"},
	}
	for i := range all {
		all[i].Addr, all[i].Timeout, all[i].MaxPending = address, p.patience, 1<<15
		all[i].Rate *= p.part
	}
	return all
}

// A site is a server in a machine, with the load on it.
type site struct {
	*machine.Machine
	plan plan
	way  way
	rec  *recorder.Recorder
	run  *load.Run

	version atomic.Int64 // of the last settings

	mu     sync.Mutex
	newest int           // version that has answered
	seen   chan struct{} // closed with each newer one
}

// arrange boots a machine with the server of w.
func (p plan) arrange(ctx context.Context, w way) (s *site, err error) {
	m, err := machine.Boot(ctx, machine.Options{})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			text, _ := m.Log(ctx, "compare.service") // the error matters more
			err = errors.Join(err, errors.New(text), m.Close())
		}
	}()
	s = &site{Machine: m, plan: p, way: w, seen: make(chan struct{})}
	if err := s.install(ctx); err != nil {
		return nil, err
	}
	if err := s.configure(version{number: 1}); err != nil {
		return nil, err
	}
	if err := s.operate(ctx, fmt.Sprintf("echo %d >/proc/sys/net/core/somaxconn", p.queue)); err != nil {
		return nil, err
	}
	start := w.start
	if start == "" {
		start = "systemctl start compare"
	}
	if err := s.operate(ctx, start); err != nil {
		return nil, err
	}
	return s, s.answers(ctx)
}

func (s *site) install(ctx context.Context) error {
	if s.way.binary != "" {
		if err := s.CopyFile(s.way.binary, "/usr/local/bin/"+s.way.program); err != nil {
			return err
		}
	}
	for name, text := range s.way.scripts {
		if err := s.WriteFile("/usr/local/bin/"+name, []byte(text), 0o755); err != nil {
			return err
		}
	}
	if err := s.WriteFile(slowPath, []byte("version=slow\n"+strings.Repeat(".", 2<<10)), 0o644); err != nil {
		return err
	}
	for name, text := range s.way.units {
		if err := s.WriteFile(path.Join("/etc/systemd/system", name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return s.DaemonReload(ctx)
}

// next is the number of the version after that of the last settings.
func (s *site) next() int { return int(s.version.Load()) + 1 }

// configure writes the settings of v.
func (s *site) configure(v version) (err error) {
	s.version.Store(int64(v.number))
	for name, text := range s.way.settings(v) {
		err = errors.Join(err, s.WriteFile(name, []byte(text), 0o644))
	}
	return err
}

// operate runs a command as the operator.
func (s *site) operate(ctx context.Context, command string) error {
	if text, err := s.Run(ctx, "/bin/sh", "-c", command); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, text)
	}
	return nil
}

// answers returns when the server answers.
func (s *site) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		run := load.Start(ctx, load.Config{Addr: address, Dial: s.DialContext, Classes: []load.Class{{Name: "first", Rate: 100, Count: 1}}})
		<-run.Done()
		r := run.Report()
		switch {
		case r.Classes[0].Answered > 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("no answer within %v: %v", limit, r)
		}
		time.Sleep(10 * time.Millisecond) // it has not bound its socket yet
	}
}

// begin starts the load.
func (s *site) begin(ctx context.Context) {
	all := s.plan.classes()
	s.rec = recorder.New(s.way.name, fmt.Sprintf("systemd %d", s.Version()), append(all, s.plan.flooding()))
	s.run = load.Start(ctx, load.Config{Dial: s.DialContext, Classes: all, Settled: s.settled, Limit: time.Hour})
}

// flooding is the load of many new connections.
func (p plan) flooding() load.Class {
	return load.Class{Name: "flood", Addr: address, Rate: p.flood, Count: int(p.flood), Body: []byte("flood"), Timeout: p.patience, MaxPending: 1 << 15}
}

func (s *site) settled(r load.Result) {
	s.rec.Settled(r)
	number := 0
	if _, err := fmt.Sscanf(r.Version, "v%d", &number); err != nil {
		return // a failure, or a file
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if number > s.newest {
		s.newest = number
		close(s.seen)
		s.seen = make(chan struct{})
	}
}

// await waits until the version number has answered, at most for limit.
func (s *site) await(ctx context.Context, number int, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		s.mu.Lock()
		newest, seen := s.newest, s.seen
		s.mu.Unlock()
		if newest >= number {
			return nil
		}
		select {
		case <-seen:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
