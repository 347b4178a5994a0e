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

	"github.com/cutover-go/cutover/internal/testproc"
)

// openMoving is open for a program whose connections move.
func (s *scene) openMoving(options string) (r *process, address string) {
	s.Helper()
	r = s.start()
	r.Do("new", options)
	address = r.Do("listen", "a", "tcp", anywhere)
	r.Do(s.receive, "a")
	r.Do("ready")
	return r, address
}

// beginMoving begins an upgrade to a program whose connections move, and returns
// when that one could take over.
func (r *process) beginMoving(options string) (next *process, upgrade *testproc.Call) {
	r.Helper()
	upgrade = r.Begin("upgrade")
	next = r.next()
	next.Do("new", options)
	next.Do("listen", "a", "tcp", anywhere)
	next.Do(r.receive, "a")
	return next, upgrade
}

func (r *process) handOverMoving(options string) *process {
	r.Helper()
	next, upgrade := r.beginMoving(options)
	next.Do("ready")
	upgrade.Text()
	next.state("serving")
	return next
}

// finished has a process drain and end.
func (r *process) finished() {
	r.Helper()
	r.Do("drain")
	r.Do("close")
	r.Exit(0)
}

// say sends a part of a line.
func (g *testClient) say(text string) {
	g.Helper()
	_, err := fmt.Fprint(g.conn, text)
	g.must(err)
}

// hears checks the next line.
func (g *testClient) hears(want string) {
	g.Helper()
	if line, err := g.lines.ReadString('\n'); err != nil || line != want+"\n" {
		g.Errorf("client of process %d hears %q, %v, want %q", g.host, line, err, want)
	}
}

// knows checks who serves the client, and that this one knows how many lines it has
// said.
func (g *testClient) knows(r *process, lines int) {
	g.Helper()
	g.say("who?\n")
	g.hears(fmt.Sprintf("%d %d", r.PID, lines))
}

// eitherWay runs a story with connections that the next process serves at once, and
// with such as it parks until they speak.
func eitherWay(t *testing.T, story func(*scene)) {
	for name, receive := range map[string]string{"served": "receive", "idle": "receive idle"} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.receive = receive
			story(s)
		})
	}
}

// TestConnectionsMove, more than fit one message, with what was read of them and
// what was not.
func TestConnectionsMove(t *testing.T) { eitherWay(t, (*scene).connectionsMove) }

func (s *scene) connectionsMove() {
	s.Helper()
	one, address := s.openMoving("{}")
	clients := make([]*testClient, 600)
	for i := range clients {
		clients[i] = s.visit("tcp", address)
		if i%3 == 0 {
			clients[i].talk()
			clients[i].say("half ")
		}
	}
	two := one.handOverMoving("{}")
	one.finished() // before, it might answer itself
	for i, g := range clients {
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
	for i, g := range clients {
		g.talk()
		if i%3 == 0 {
			g.knows(three, 3)
		}
	}
	s.hosted(address, three)
}

// TestConnectionsStayWhereNobodyReceivesThem, and are served.
func TestConnectionsStayWhereNobodyReceivesThem(t *testing.T) {
	s := newScene(t)
	one, address := s.openMoving("{}")
	client := s.visit("tcp", address)
	two := one.handOver("{}")
	one.Await("stays", "no other process receives")
	client.knows(one, 0)
	s.hosted(address, two)
	client.leave()
	one.finished()
}

// TestConnectionsOfASuccessorThatDiesBeforeItHasThem stay.
func TestConnectionsOfASuccessorThatDiesBeforeItHasThem(t *testing.T) {
	s := newScene(t)
	v := s.supervise()
	one, address := s.openMoving("{}")
	client := s.visit("tcp", address)
	v.fallMute()
	two, _ := one.beginMoving("{}")
	two.Do("ready")
	v.await(one.PID, "MAINPID=")
	two.freeze()
	v.speak()
	one.state("draining")
	two.kill()
	one.Await("stays", "")
	client.knows(one, 0)
	s.hosted(address, one)
}

// TestConnectionsMoveOn to the process that is main by then, over those in between.
func TestConnectionsMoveOn(t *testing.T) { eitherWay(t, (*scene).connectionsMoveOn) }

func (s *scene) connectionsMoveOn() {
	s.Helper()
	one, address := s.openMoving("{}")
	clients := make([]*testClient, 100) // too many to leave at once
	for i := range clients {
		clients[i] = s.visit("tcp", address)
	}
	two := one.handOverMoving("{}")
	three := two.handOverMoving("{}")
	one.finished()
	two.finished()
	clients[0].knows(three, 0)
	four := three.handOverMoving("{}")
	three.finished()
	for _, g := range clients {
		g.knows(four, 0)
	}
}

// TestConnectionsMoveOverThoseThatHaveGone: what is in work when a generation is
// replaced goes to whoever is main when it is done.
func TestConnectionsMoveOverThoseThatHaveGone(t *testing.T) {
	eitherWay(t, (*scene).connectionsMoveOverThoseThatHaveGone)
}

func (s *scene) connectionsMoveOverThoseThatHaveGone() {
	s.Helper()
	one, address := s.openMoving("{}")
	client := s.visit("tcp", address)
	client.say("wait\n")
	one.Await("waits", "") // else the connection may move before the line is read
	two := one.handOverMoving("{}")
	three := two.handOverMoving("{}")
	two.finished()
	four := three.handOverMoving("{}")
	three.finished()
	one.Await("the successor has left, its successor is watched", fmt.Sprint("pid=", four.PID)) // until then no process takes it
	one.Do("go on")
	one.finished()
	client.knows(four, 0)
}

// TestConnectionsOfAnUpgradeThatIsUndone are not asked for.
func TestConnectionsOfAnUpgradeThatIsUndone(t *testing.T) {
	s := newScene(t)
	one, address := s.openMoving("{}")
	client := s.visit("tcp", address)
	two, upgrade := one.beginMoving("{}")
	two.kill()
	upgrade.Fails("the successor ")
	client.knows(one, 0)
	three := one.handOverMoving("{}")
	one.finished()
	client.knows(three, 0)
}

// inPlace are the options of a program that is replaced in its process.
const inPlace = `{"NoSignals":false,"Mode":"in-place"}`

// TestConnectionsAreInherited by a program that is put in the place of the old one.
func TestConnectionsAreInherited(t *testing.T) { eitherWay(t, (*scene).connectionsAreInherited) }

func (s *scene) connectionsAreInherited() {
	s.Helper()
	one, address := s.openMoving(inPlace)
	client := s.visit("tcp", address)
	client.talk()
	tried, upgrade := one.beginMoving(inPlace)
	tried.Begin("ready").Fails("tried and found good")
	tried.Exit(0)
	two := s.next()
	if two.PID != one.PID {
		s.Fatalf("process %d comes after %d", two.PID, one.PID)
	}
	two.Do("new", inPlace)
	two.Do("listen", "a", "tcp", anywhere)
	two.Do(s.receive, "a")
	two.Do("ready")
	upgrade.Unanswered()
	client.knows(two, 1)
	s.hosted(address, two)
}

// TestConnectionsComeBackWhereExecveFails.
func TestConnectionsComeBackWhereExecveFails(t *testing.T) {
	eitherWay(t, (*scene).connectionsComeBackWhereExecveFails)
}

func (s *scene) connectionsComeBackWhereExecveFails() {
	s.Helper()
	s.path = filepath.Join(s.dir, "program")
	s.args = []string{s.path, "actor"}
	s.install(s.path)
	one, address := s.openMoving(inPlace)
	moved, busy := s.visit("tcp", address), one.Begin("hold", "work")
	busy.Text()
	tried, upgrade := one.beginMoving(inPlace)
	ready := tried.Begin("ready")
	one.state("quiescing")
	ready.Fails("tried and found good")
	tried.Exit(0)
	s.must(os.Remove(s.path))
	one.Do("release", "work")
	upgrade.Fails("no such file or directory")
	moved.knows(one, 0)
	s.hosted(address, one)
}

// stays reports whether r has said that the client's connection stays.
func (g *testClient) stays(r *process) bool {
	return slices.ContainsFunc(r.Events(), func(e testproc.Event) bool {
		return e.What == "stays" && strings.HasPrefix(e.About, g.conn.LocalAddr().String()+" ")
	})
}

// restarting are the options of a program that knows a restart from a stop.
var restarting = fmt.Sprintf(`{"NoSignals":false,"RestartSignal":%d}`, unix.SIGUSR2)

// TestConnectionsOutliveARestart in the fd store, with what was known of them, as
// many as it has room for.
func TestConnectionsOutliveARestart(t *testing.T) { eitherWay(t, (*scene).connectionsOutliveARestart) }

func (s *scene) connectionsOutliveARestart() {
	s.Helper()
	v := s.service(254, "RestartKillSignal=SIGUSR2")
	start := v.job(v.manager.Start)
	one := s.next()
	one.Do("new", restarting)
	address := one.Do("listen", "a", "tcp", anywhere)
	one.Do(s.receive, "a")
	one.Do("ready")
	v.succeeds(start)
	clients := make([]*testClient, 40) // the store of 64 has room for 31 with their data
	for i := range clients {
		clients[i] = s.visit("tcp", address)
		clients[i].talk()
	}
	restart := v.job(v.manager.Restart)
	for range 9 {
		one.Await("stays", "no room")
	}
	var moved []*testClient
	for _, g := range clients {
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
	two.Do("new", restarting)
	if got := two.Do("listen", "a", "tcp", anywhere); got != address {
		s.Errorf("listens at %s, want %s", got, address)
	}
	two.Do(s.receive, "a")
	two.Do("ready")
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
	s := newScene(t)
	one := s.start()
	one.Do("new", "{}")
	one.Do("save badly", "s", "block")
	one.Do("ready")
	one.Begin("upgrade")
	two := s.next()
	two.Do("new", "{}")
	two.Do("receive", "a")
	two.Begin("ready")
	one.state("switching")
	two.Begin("receive", "b").Fails("Receive after Ready")
}
