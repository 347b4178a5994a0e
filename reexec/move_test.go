//go:build linux

package reexec_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// openMoving is open for a program whose connections move.
func (s *stage) openMoving(options string) (r *remote, address string) {
	s.Helper()
	r = s.start()
	r.do("new", options)
	address = r.do("listen", "a", "tcp", anywhere)
	r.do(s.receive, "a")
	r.do("ready")
	return r, address
}

// beginMoving begins an upgrade to a program whose connections move, and returns
// when that one could take over.
func (r *remote) beginMoving(options string) (next *remote, upgrade *outcome) {
	r.Helper()
	upgrade = r.begin("upgrade")
	next = r.next()
	next.do("new", options)
	next.do("listen", "a", "tcp", anywhere)
	next.do(r.receive, "a")
	return next, upgrade
}

func (r *remote) handOverMoving(options string) *remote {
	r.Helper()
	next, upgrade := r.beginMoving(options)
	next.do("ready")
	upgrade.text()
	next.state("serving")
	return next
}

// finished has a process drain and end.
func (r *remote) finished() {
	r.Helper()
	r.do("drain")
	r.do("close")
	r.exit("0")
}

// say sends a part of a line.
func (g *guest) say(text string) {
	g.Helper()
	_, err := fmt.Fprint(g.conn, text)
	g.must(err)
}

// hears checks the next line.
func (g *guest) hears(want string) {
	g.Helper()
	if line, err := g.lines.ReadString('\n'); err != nil || line != want+"\n" {
		g.Errorf("guest of process %d hears %q, %v, want %q", g.host, line, err, want)
	}
}

// knows checks who serves the guest, and that this one knows how many lines it has
// said.
func (g *guest) knows(r *remote, lines int) {
	g.Helper()
	g.say("who?\n")
	g.hears(fmt.Sprintf("%d %d", r.PID, lines))
}

// eitherWay runs a story with connections that the next process serves at once, and
// with such as it parks until they speak.
func eitherWay(t *testing.T, story func(*stage)) {
	for name, receive := range map[string]string{"served": "receive", "parked": "receive idle"} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.receive = receive
			story(s)
		})
	}
}

// TestConnectionsMove, more than fit one message, with what was read of them and
// what was not.
func TestConnectionsMove(t *testing.T) { eitherWay(t, (*stage).connectionsMove) }

func (s *stage) connectionsMove() {
	s.Helper()
	one, address := s.openMoving("{}")
	guests := make([]*guest, 600)
	for i := range guests {
		guests[i] = s.visit("tcp", address)
		if i%3 == 0 {
			guests[i].talk()
			guests[i].say("half ")
		}
	}
	two := one.handOverMoving("{}")
	one.finished() // before, it might answer itself
	for i, g := range guests {
		if i%3 == 0 {
			g.say("a line\n")
			g.hears("half a line")
			g.knows(two, 2)
		} else {
			g.knows(two, 0)
		}
	}
	three := two.handOverMoving("{}")
	two.finished()
	for i, g := range guests {
		g.talk()
		if i%3 == 0 {
			g.knows(three, 3)
		}
	}
	s.hosted(address, three)
}

// TestConnectionsStayWhereNobodyReceivesThem, and are served.
func TestConnectionsStayWhereNobodyReceivesThem(t *testing.T) {
	s := newStage(t)
	one, address := s.openMoving("{}")
	guest := s.visit("tcp", address)
	two := one.handOver("{}")
	one.await("stays", "no other process receives")
	guest.knows(one, 0)
	s.hosted(address, two)
	guest.leave()
	one.finished()
}

// TestConnectionsOfASuccessorThatDiesBeforeItHasThem stay.
func TestConnectionsOfASuccessorThatDiesBeforeItHasThem(t *testing.T) {
	s := newStage(t)
	v := s.supervise()
	one, address := s.openMoving("{}")
	guest := s.visit("tcp", address)
	v.fallMute()
	two, _ := one.beginMoving("{}")
	two.do("ready")
	v.await(one.PID, "MAINPID=")
	two.freeze()
	v.speak()
	one.state("draining")
	two.kill()
	one.await("stays", "")
	guest.knows(one, 0)
	s.hosted(address, one)
}

// TestConnectionsMoveOn to the process that is main by then, over those in between.
func TestConnectionsMoveOn(t *testing.T) { eitherWay(t, (*stage).connectionsMoveOn) }

func (s *stage) connectionsMoveOn() {
	s.Helper()
	one, address := s.openMoving("{}")
	guests := make([]*guest, 100) // too many to leave at once
	for i := range guests {
		guests[i] = s.visit("tcp", address)
	}
	two := one.handOverMoving("{}")
	three := two.handOverMoving("{}")
	one.finished()
	two.finished()
	guests[0].knows(three, 0)
	four := three.handOverMoving("{}")
	three.finished()
	for _, g := range guests {
		g.knows(four, 0)
	}
}

// TestConnectionsMoveOverThoseThatHaveGone: what is in work when a generation is
// replaced goes to whoever is main when it is done.
func TestConnectionsMoveOverThoseThatHaveGone(t *testing.T) {
	eitherWay(t, (*stage).connectionsMoveOverThoseThatHaveGone)
}

func (s *stage) connectionsMoveOverThoseThatHaveGone() {
	s.Helper()
	one, address := s.openMoving("{}")
	guest := s.visit("tcp", address)
	guest.say("wait\n")
	two := one.handOverMoving("{}")
	three := two.handOverMoving("{}")
	two.finished()
	four := three.handOverMoving("{}")
	three.finished()
	one.do("go on")
	one.finished()
	guest.knows(four, 0)
}

// TestConnectionsOfAnUpgradeThatIsUndone are not asked for.
func TestConnectionsOfAnUpgradeThatIsUndone(t *testing.T) {
	s := newStage(t)
	one, address := s.openMoving("{}")
	guest := s.visit("tcp", address)
	two, upgrade := one.beginMoving("{}")
	two.kill()
	upgrade.fails("the successor ")
	guest.knows(one, 0)
	three := one.handOverMoving("{}")
	one.finished()
	guest.knows(three, 0)
}

// inPlace are the options of a program that is replaced in its process.
const inPlace = `{"NoSignals":false,"Mode":"in-place"}`

// TestConnectionsAreInherited by a program that is put in the place of the old one.
func TestConnectionsAreInherited(t *testing.T) { eitherWay(t, (*stage).connectionsAreInherited) }

func (s *stage) connectionsAreInherited() {
	s.Helper()
	one, address := s.openMoving(inPlace)
	guest := s.visit("tcp", address)
	guest.talk()
	tried, upgrade := one.beginMoving(inPlace)
	tried.begin("ready").fails("tried and found good")
	tried.exit("0")
	two := s.next()
	if two.PID != one.PID {
		s.Fatalf("process %d comes after %d", two.PID, one.PID)
	}
	two.do("new", inPlace)
	two.do("listen", "a", "tcp", anywhere)
	two.do(s.receive, "a")
	two.do("ready")
	if m := upgrade.reply; len(m) > 0 {
		s.Errorf("the old program has an answer: %+v", <-m)
	}
	guest.knows(two, 1)
	s.hosted(address, two)
}

// TestConnectionsComeBackWhereExecveFails.
func TestConnectionsComeBackWhereExecveFails(t *testing.T) {
	eitherWay(t, (*stage).connectionsComeBackWhereExecveFails)
}

func (s *stage) connectionsComeBackWhereExecveFails() {
	s.Helper()
	s.path = filepath.Join(s.dir, "program")
	s.args = []string{s.path, "actor"}
	s.install(s.path)
	one, address := s.openMoving(inPlace)
	moved, busy := s.visit("tcp", address), one.begin("hold", "work")
	busy.text()
	tried, upgrade := one.beginMoving(inPlace)
	ready := tried.begin("ready")
	one.state("quiescing")
	ready.fails("tried and found good")
	tried.exit("0")
	s.must(os.Remove(s.path))
	one.do("release", "work")
	upgrade.fails("no such file or directory")
	moved.knows(one, 0)
	s.hosted(address, one)
}

// stays reports whether r has said that the guest's connection stays.
func (g *guest) stays(r *remote) bool {
	return slices.ContainsFunc(r.history(), func(e reply) bool {
		return e.What == "stays" && strings.HasPrefix(e.Text, g.conn.LocalAddr().String()+" ")
	})
}

// restarting are the options of a program that knows a restart from a stop.
var restarting = fmt.Sprintf(`{"NoSignals":false,"RestartSignal":%d}`, unix.SIGUSR2)

// TestConnectionsOutliveARestart in the fd store, with what was known of them, as
// many as it has room for.
func TestConnectionsOutliveARestart(t *testing.T) { eitherWay(t, (*stage).connectionsOutliveARestart) }

func (s *stage) connectionsOutliveARestart() {
	s.Helper()
	v := s.service(254, "RestartKillSignal=SIGUSR2")
	start := v.job(v.manager.Start)
	one := s.next()
	one.do("new", restarting)
	address := one.do("listen", "a", "tcp", anywhere)
	one.do(s.receive, "a")
	one.do("ready")
	v.succeeds(start)
	guests := make([]*guest, 40) // the store of 64 has room for 31 with their data
	for i := range guests {
		guests[i] = s.visit("tcp", address)
		guests[i].talk()
	}
	restart := v.job(v.manager.Restart)
	for range 9 {
		one.await("stays", "no room")
	}
	var moved []*guest
	for _, g := range guests {
		if !g.stays(one) {
			g.say("who?\n") // and is answered after the restart
			moved = append(moved, g)
			continue
		}
		g.knows(one, 1)
		g.leave()
	}
	one.finished()
	two := s.next()
	two.do("new", restarting)
	if got := two.do("listen", "a", "tcp", anywhere); got != address {
		s.Errorf("listens at %s, want %s", got, address)
	}
	two.do(s.receive, "a")
	two.do("ready")
	v.succeeds(restart)
	if len(moved) != 31 {
		s.Errorf("%d connections have moved, want 31", len(moved))
	}
	for _, g := range moved {
		g.hears(fmt.Sprintf("%d 1", two.PID))
	}
	v.shows("NFileDescriptorStore=1") // the listener
	s.hosted(address, two)
}

// TestReceiveAfterReadyOfASuccessorIsRefused, because its predecessor would not know.
func TestReceiveAfterReadyOfASuccessorIsRefused(t *testing.T) {
	s := newStage(t)
	one := s.start()
	one.do("new", "{}")
	one.do("save badly", "s", "block")
	one.do("ready")
	one.begin("upgrade")
	two := s.next()
	two.do("new", "{}")
	two.do("receive", "a")
	two.begin("ready")
	one.state("switching")
	two.begin("receive", "b").fails("Receive after Ready")
}
