//go:build linux

package reexec_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/testproc"
)

// echo is a packet server that reads on while other goroutines answer: with the pid, and
// "slow" after the test says so. It does not answer "".
func (a *actor) echo(c net.PacketConn) error {
	a.set(func() { a.packets = c; a.more.Broadcast() })
	b := make([]byte, 64)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		text := string(b[:n])
		a.Report("asked", text)
		if text == "" {
			continue
		}
		go func() { // ends when it has answered
			if text == "slow" {
				<-a.goOn
			}
			_, _ = c.WriteTo([]byte(strconv.Itoa(os.Getpid())), from) // the client reports a lost answer
		}()
	}
}

// asker is a client of echo.
type asker struct {
	*scene
	net.Conn
}

func (s *scene) asker(address string) *asker {
	s.Helper()
	c, err := net.Dial("udp", address)
	s.must(err)
	s.Cleanup(func() { c.Close() })
	deadline, _ := s.ctx.Deadline()
	s.must(c.SetDeadline(deadline))
	return &asker{s, c}
}

func (k *asker) ask(text string) {
	k.Helper()
	_, err := k.Write([]byte(text))
	k.must(err)
}

func (k *asker) answered(by *process) {
	k.Helper()
	b := make([]byte, 64)
	n, err := k.Read(b)
	if pid := string(b[:n]); err != nil || pid != strconv.Itoa(by.PID) {
		k.Errorf("process %s answers, %v, want %d", pid, err, by.PID)
	}
}

// openEcho starts an actor with echo.
func (s *scene) openEcho(options string, service ...string) (r *process, running *testproc.Call, address string) {
	s.Helper()
	r = s.start()
	running = r.serves(options, echoOr(service)...)
	r.state("serving")
	return r, running, r.Do("packet address")
}

func (r *process) replacedBy(options string, service ...string) *process {
	r.Helper()
	upgrade := r.Begin("upgrade")
	next := r.next()
	next.serves(options, echoOr(service)...)
	upgrade.Text()
	r.state("draining")
	next.state("serving") // until then it refuses an upgrade
	return next
}

func echoOr(service []string) []string {
	if len(service) == 0 {
		return []string{"echo"}
	}
	return service
}

// TestAClientWithAFlowStaysWithItsProcess until that process ends.
func TestAClientWithAFlowStaysWithItsProcess(t *testing.T) {
	s := newScene(t)
	const hour = `{"Drain":3600000000000}`
	one, _, address := s.openEcho(hour, "flows")
	all, processes := []*asker{s.asker(address)}, []*process{one}
	for range 3 {
		for i, k := range all {
			k.ask("now")
			k.answered(processes[i])
		}
		processes = append(processes, processes[len(processes)-1].replacedBy(hour, "flows"))
		all = append(all, s.asker(address))
	}
	one.kill()
	one.AwaitGone()
	last := processes[len(processes)-1]
	for range 2 {
		all[0].ask("now")
		all[0].answered(last)
	}
	all[1].ask("now")
	all[1].answered(processes[1])
}

func TestSilentFlowsHoldNoProcess(t *testing.T) {
	t.Parallel()
	for service, end := range map[string]func(*process){
		"short flows": func(r *process) { r.replacedBy(`{}`, "flows") },
		"flows":       func(r *process) { r.Do("stop") },
	} {
		t.Run(service, func(t *testing.T) {
			s := newScene(t)
			one, running, address := s.openEcho(`{"Drain":3600000000000}`, service)
			k := s.asker(address)
			k.ask("now")
			k.answered(one)
			end(one)
			running.Text()
			one.Do("close")
		})
	}
}

func TestADrainDeadlineCutsAFlowAndIsLogged(t *testing.T) {
	s := newScene(t)
	one, running, address := s.openEcho(`{"Drain":1000000}`, "flows")
	k := s.asker(address)
	k.ask("now")
	k.answered(one)
	go func() { // ends with the test; a silent flow is ended and not cut
		for tick := time.Tick(10 * time.Millisecond); ; <-tick {
			if _, err := k.Write([]byte("now")); errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	one.replacedBy(`{}`, "flows")
	one.Await("work was cut at the drain deadline", "cut 1 of its clients ("+netip.MustParseAddrPort(k.LocalAddr().String()).String())
	running.Text()
	one.Do("close")
}

func TestAnAnswerOfAnotherGoroutineIsSentAfterTheUpgrade(t *testing.T) {
	s := newScene(t)
	one, running, address := s.openEcho(`{}`, "patient echo")
	slow, other := s.asker(address), s.asker(address)
	other.ask("now")
	other.answered(one)
	slow.ask("slow")
	one.Await("asked", "slow")
	two := one.replacedBy(`{}`)
	other.ask("now")
	other.answered(two)
	one.Do("go on")
	slow.answered(one)
	running.Text()
	one.Do("close")
}

func TestAStopAnswersTheQuestionsThatWereRead(t *testing.T) {
	s := newScene(t)
	one, running, address := s.openEcho(`{}`, "patient echo")
	slow := s.asker(address)
	slow.ask("slow")
	one.Await("asked", "slow")
	one.Do("stop")
	one.Do("go on")
	slow.answered(one)
	running.Text()
	one.Do("close")
}

func TestDatagramsWithoutAnswerDelayTheEndALittle(t *testing.T) {
	s := newScene(t)
	one, running, address := s.openEcho(`{"Drain":100000000000}`)
	s.asker(address).ask("")
	one.Await("asked", "")
	one.replacedBy(`{}`)
	running.Text() // after a second
	one.Do("close")
}

func TestADrainDeadlineCutsAQuestionAndIsLogged(t *testing.T) {
	s := newScene(t)
	one, running, address := s.openEcho(`{"Drain":1000000}`)
	slow := s.asker(address)
	slow.ask("slow")
	one.Await("asked", "slow")
	one.replacedBy(`{}`)
	running.Text()
	one.Await("work was cut at the drain deadline", `service "u": cut 1 of its clients (`+netip.MustParseAddrPort(slow.LocalAddr().String()).String())
	one.Do("close")
}

func TestAPacketServiceServesOnWhenItsSuccessorDies(t *testing.T) {
	s := newScene(t)
	one, running, address := s.openEcho(`{}`, "patient echo")
	slow, other := s.asker(address), s.asker(address)
	slow.ask("slow")
	one.Await("asked", "slow")
	two := one.replacedBy(`{}`)
	two.kill()
	one.state("serving")
	other.ask("now")
	other.answered(one)
	one.Do("go on")
	slow.answered(one)
	one.Do("stop")
	running.Text()
	one.Do("close")
}
