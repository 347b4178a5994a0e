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
		a.say(reply{What: "asked", Text: text})
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
	*stage
	net.Conn
}

func (s *stage) asker(address string) *asker {
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

func (k *asker) answered(by *remote) {
	k.Helper()
	b := make([]byte, 64)
	n, err := k.Read(b)
	if pid := string(b[:n]); err != nil || pid != strconv.Itoa(by.PID) {
		k.Errorf("process %s answers, %v, want %d", pid, err, by.PID)
	}
}

// openEcho starts an actor with echo.
func (s *stage) openEcho(options string, service ...string) (r *remote, running *outcome, address string) {
	s.Helper()
	r = s.start()
	running = r.serves(options, echoOr(service)...)
	r.state("serving")
	return r, running, r.do("packet address")
}

func (r *remote) replacedBy(options string, service ...string) *remote {
	r.Helper()
	upgrade := r.begin("upgrade")
	next := r.next()
	next.serves(options, echoOr(service)...)
	upgrade.text()
	r.state("draining")
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
	s := newStage(t)
	const hour = `{"Drain":3600000000000}`
	one, _, address := s.openEcho(hour, "flows")
	all, processes := []*asker{s.asker(address)}, []*remote{one}
	for range 3 {
		for i, k := range all {
			k.ask("now")
			k.answered(processes[i])
		}
		processes = append(processes, processes[len(processes)-1].replacedBy(hour, "flows"))
		all = append(all, s.asker(address))
	}
	one.kill()
	one.awaitGone()
	last := processes[len(processes)-1]
	for range 2 {
		all[0].ask("now")
		all[0].answered(last)
	}
	all[1].ask("now")
	all[1].answered(processes[1])
}

func TestSilentFlowsHoldNoProcess(t *testing.T) {
	for service, end := range map[string]func(*remote){
		"short flows": func(r *remote) { r.replacedBy(`{}`, "flows") },
		"flows":       func(r *remote) { r.do("stop") },
	} {
		t.Run(service, func(t *testing.T) {
			s := newStage(t)
			one, running, address := s.openEcho(`{"Drain":3600000000000}`, service)
			k := s.asker(address)
			k.ask("now")
			k.answered(one)
			end(one)
			running.text()
			one.do("close")
		})
	}
}

func TestADrainDeadlineCutsAFlowAndIsLogged(t *testing.T) {
	s := newStage(t)
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
	one.await("work was cut at the drain deadline", "cut 1 of its clients ("+netip.MustParseAddrPort(k.LocalAddr().String()).String())
	running.text()
	one.do("close")
}

func TestAnAnswerOfAnotherGoroutineIsSentAfterTheUpgrade(t *testing.T) {
	s := newStage(t)
	one, running, address := s.openEcho(`{}`)
	slow, other := s.asker(address), s.asker(address)
	other.ask("now")
	other.answered(one)
	slow.ask("slow")
	one.await("asked", "slow")
	two := one.replacedBy(`{}`)
	other.ask("now")
	other.answered(two)
	one.do("go on")
	slow.answered(one)
	running.text()
	one.do("close")
}

func TestAStopAnswersTheQuestionsThatWereRead(t *testing.T) {
	s := newStage(t)
	one, running, address := s.openEcho(`{}`)
	slow := s.asker(address)
	slow.ask("slow")
	one.await("asked", "slow")
	one.do("stop")
	one.do("go on")
	slow.answered(one)
	running.text()
	one.do("close")
}

func TestDatagramsWithoutAnswerDelayTheEndALittle(t *testing.T) {
	s := newStage(t)
	one, running, address := s.openEcho(`{"Drain":100000000000}`)
	s.asker(address).ask("")
	one.await("asked", "")
	one.replacedBy(`{}`)
	running.text() // after a second
	one.do("close")
}

func TestADrainDeadlineCutsAQuestionAndIsLogged(t *testing.T) {
	s := newStage(t)
	one, running, address := s.openEcho(`{"Drain":1000000}`)
	slow := s.asker(address)
	slow.ask("slow")
	one.await("asked", "slow")
	one.replacedBy(`{}`)
	running.text()
	one.await("work was cut at the drain deadline", `service "u": cut 1 of its clients (`+netip.MustParseAddrPort(slow.LocalAddr().String()).String())
	one.do("close")
}

func TestAPacketServiceServesOnWhenItsSuccessorDies(t *testing.T) {
	s := newStage(t)
	one, running, address := s.openEcho(`{}`)
	slow, other := s.asker(address), s.asker(address)
	slow.ask("slow")
	one.await("asked", "slow")
	two := one.replacedBy(`{}`)
	two.kill()
	one.state("serving")
	other.ask("now")
	other.answered(one)
	one.do("go on")
	slow.answered(one)
	one.do("stop")
	running.text()
	one.do("close")
}
