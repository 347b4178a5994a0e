//go:build linux

package reexec_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/upgradetest"
	"github.com/cutover-go/cutover/internal/testproc"
	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// This file tests programs that are one call of Serve or Main.

// services makes the services that words name, and runs them.
func (a *actor) services(ctx context.Context, words []string) error {
	var all []reexec.Service
	for _, word := range words {
		all = append(all, a.service(word))
	}
	return a.u.Serve(ctx, all...)
}

func (a *actor) service(word string) reexec.Service {
	switch word {
	case "talk":
		return reexec.Stream("a", anywhere, a.acceptAll)
	case "background":
		return reexec.Stream("a", anywhere, func(ln net.Listener) error {
			go a.acceptAll(ln) // ends when ln is closed
			return nil
		})
	case "brief":
		s := reexec.Stream("a", anywhere, a.acceptAll)
		s.EndSessions = true
		s.Draining = func(draining bool) {
			if !draining {
				<-a.goOn // this server takes its time to serve again
			}
		}
		return s
	case "impatient": // ends as soon as the generation drains
		return reexec.Stream("a", anywhere, func(ln net.Listener) error {
			limited := ln.(interface{ SetDeadline(time.Time) error })
			if err := limited.SetDeadline(time.Time{}); err != nil {
				return err
			}
			defer a.u.OnDrain(func() { _ = limited.SetDeadline(time.Unix(1, 0)) })() // Accept returns
			return a.acceptAll(ln)
		})
	case "impatient echo":
		return reexec.Packet("u", anywhere, func(c net.PacketConn) error {
			if err := c.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
			defer a.u.OnDrain(func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })() // ReadFrom returns
			return a.echo(c)
		})
	case "closing", "closing late": // closes its listener as soon as the generation drains
		return reexec.Stream("c", anywhere, func(ln net.Listener) error {
			defer a.u.OnDrain(func() { _ = ln.Close() })() // Accept returns
			for {
				c, err := ln.Accept()
				if err != nil {
					a.Report("closed", fmt.Sprint("c ", err))
					if word == "closing late" {
						word = ""
						<-a.goOn // it waits for its clients
					}
					return err
				}
				_ = c.Close() // nothing was read
			}
		})
	case "closing echo":
		return reexec.Packet("p", anywhere, func(c net.PacketConn) error {
			defer a.u.OnDrain(func() { _ = c.Close() })() // ReadFrom returns
			err := a.echo(c)
			a.Report("closed", fmt.Sprint("p ", err))
			return err
		})
	case "told":
		s := reexec.Stream("a", anywhere, a.acceptAll)
		s.Draining = func(draining bool) { a.Report(fmt.Sprintf("server told: draining %v", draining), "") }
		return s
	case "web", "metrics":
		return a.web(word)
	case "echo":
		return reexec.Packet("u", anywhere, a.echo)
	case "patient echo":
		s := reexec.Packet("u", anywhere, a.echo)
		s.Answer = time.Minute
		return s
	case "flows", "short flows":
		s := reexec.Packet("u", anywhere, a.echo)
		s.Flows = map[string]time.Duration{"flows": time.Hour, "short flows": time.Second}[word]
		return s
	case "graceful":
		return &reexec.StreamService{Name: "a", Address: anywhere, New: a.newGraceful}
	}
	return reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
		switch word {
		case "failing":
			return func(context.Context) error { <-a.goOn; return errors.New("the disk is full") }, nil
		case "stuck":
			return func(context.Context) error { select {} }, nil
		case "early": // returns when the generation drains, and does not wait in Drain
			return func(context.Context) error { <-protocol.Of(u).Draining(); return nil }, nil
		case "":
			return nil, nil
		default: // an address
			_, err := u.Listen(ctx, "b", "tcp", word)
			return func(context.Context) error { return u.Drain(context.Background()) }, err
		}
	})
}

// acceptAll is a server that knows nothing of upgrades.
func (a *actor) acceptAll(ln net.Listener) error {
	a.serves(ln)
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go a.converse(c, func() {}) // ends with the client
	}
}

// serves makes the address of ln known.
func (a *actor) serves(ln net.Listener) { a.knows("a", ln) }

func (a *actor) knows(name string, ln net.Listener) {
	a.set(func() { a.listeners[name] = ln; a.more.Broadcast() })
}

// serves runs services in the actor.
func (r *process) serves(options string, services ...string) (running *testproc.Call) {
	r.Helper()
	r.Do("new", options)
	return r.Begin("services", services...)
}

// address returns the address of the actor's listener a.
func (r *process) address() string {
	r.Helper()
	return r.Do("address", "a")
}

func TestServicesFinishTheirWorkAfterAnUpgrade(t *testing.T) {
	for _, other := range []string{"", "early"} {
		t.Run(other, func(t *testing.T) {
			s := newScene(t)
			one := s.start()
			running := one.serves("{}", "talk", other)
			one.state("serving")
			address := one.address()
			client := s.visit("tcp", address)
			upgrade := one.Begin("upgrade")
			two := s.next()
			two.serves("{}", "talk", other)
			upgrade.Text()
			one.state("draining")
			s.hosted(address, two)
			client.talk()
			client.leave()
			running.Text()
			one.Do("close")
		})
	}
}

func TestAFailedServiceUndoesTheUpgrade(t *testing.T) {
	for other, reason := range map[string]string{"failing": "the disk is full", "192.0.2.1:1": "listen tcp 192.0.2.1:1: bind: "} {
		t.Run(other, func(t *testing.T) {
			s := newScene(t)
			one := s.start()
			one.serves(`{"Trial":60000000000}`, "talk", "")
			one.state("serving")
			address := one.address()
			upgrade := one.Begin("upgrade")
			two := s.next()
			running := two.serves("{}", "talk", other)
			if other == "failing" {
				two.state("accepting")
				s.hosted(address, two)
				two.Do("go on")
				running.Fails(reason)
			} // else the predecessor kills it
			upgrade.Fails(reason)
			s.hosted(address, one)
		})
	}
}

func TestServicesAreReplacedInPlace(t *testing.T) {
	for _, other := range []string{"", "early"} {
		t.Run(other, func(t *testing.T) {
			s := newScene(t)
			one := s.start()
			one.serves(inPlace, "talk", other)
			one.state("serving")
			address := one.address()
			client := s.visit("tcp", address)
			one.Begin("upgrade")
			tried := s.next()
			tried.serves(inPlace, "talk", other).Text()
			tried.Do("close")
			tried.Exit(0)
			one.state("quiescing")
			client.talk()
			client.leave()
			next := s.next()
			next.serves(inPlace, "talk", other)
			next.state("serving")
			s.hosted(address, next)
			if next.PID != one.PID {
				t.Errorf("process %d goes on, want %d", next.PID, one.PID)
			}
		})
	}
}

func TestAServiceThatDoesNotReturnIsLeftBehind(t *testing.T) {
	s := newScene(t)
	one := s.start()
	running := one.serves("{}", "talk", "stuck")
	one.state("serving")
	one.Do("stop")
	running.Text()
	one.Await("services have not returned after the drain: this process ends without them", "services=1")
	one.Do("close")
}

// wholeVariable has the path of the socket of wholeMain.
const wholeVariable = "REEXEC_TEST_WHOLE"

// wholeMain is a program of one call. It answers each connection with its generation.
func wholeMain() int {
	args := os.Args
	os.Args = slices.Delete(slices.Clone(args), 1, 2) // the word by which the test binary is this program
	asStarted := func(c reexec.Command) (reexec.Command, error) { c.Args = args; return c, nil }
	return reexec.Main(reexec.Options{Next: asStarted}, reexec.ServiceFunc(
		func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			ln, err := u.Listen(ctx, "a", "unix", os.Getenv(wholeVariable))
			return func(context.Context) error {
				for {
					c, err := ln.Accept()
					if errors.Is(err, net.ErrClosed) {
						return nil
					}
					if err != nil {
						return err
					}
					fmt.Fprintln(c, u.Generation())
					c.Close()
				}
			}, err
		}))
}

func TestMainIsAProgramWithItsCommands(t *testing.T) {
	s := newScene(t)
	path := filepath.Join(s.dir, "whole")
	env := append(s.environ(), wholeVariable+"="+path)
	m, err := upgradetest.NewManager(upgradetest.Options{Env: env})
	s.must(err)
	t.Cleanup(func() {
		if t.Failed() {
			text, err := m.Log(context.Background(), unit)
			t.Logf("journal (%v):\n%s", err, text)
		}
		s.must(m.Close())
	})
	s.must(m.Install(s.ctx, unit, fmt.Sprintf("[Service]\nType=notify\nExecStart=%[1]s whole\nExecReload=%[1]s whole reload\n", s.path)))
	s.must(m.Start(s.ctx, unit))
	for generation := 1; generation <= 2; generation++ {
		g, err := s.tryVisit("unix", path)
		if err != nil {
			t.Fatalf("generation %d: %v", generation, err)
		}
		if g.host != generation {
			t.Errorf("generation %d answers, want %d", g.host, generation)
		}
		g.leave()
		pid, err := m.Show(s.ctx, unit, "MainPID")
		s.must(err)
		status := exec.CommandContext(s.ctx, s.path, "whole", "status")
		status.Env = append(env, "MAINPID="+pid)
		if text, err := status.Output(); err != nil || !strings.HasPrefix(string(text), fmt.Sprintf("generation %d, process %s, serving", generation, pid)) {
			t.Errorf("status prints %q, %v", text, err)
		}
		if generation == 1 {
			s.must(m.Reload(s.ctx, unit))
		}
	}
	s.must(m.Stop(s.ctx, unit))
	if result, err := m.Show(s.ctx, unit, "Result"); err != nil || result != "success" {
		t.Errorf("Result=%s, %v", result, err)
	}
	if err := exec.CommandContext(s.ctx, s.path, "whole", "status").Run(); err == nil {
		t.Error("status succeeds without a main process")
	}
}
