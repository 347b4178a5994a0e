package e2e

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/e2e/internal/machine"
)

const tallyUnit = "cutover-tally.service"

// TestSessionOutlivesItsProcesses has one connection, which its client opens once,
// go through ten upgrades, a restart, a crash and an upgrade that fails.
func TestSessionOutlivesItsProcesses(t *testing.T) {
	eachSystemd(t, func(t *testing.T, root machine.Root) {
		s := emptySite(t, root)
		s.deployTally(program(t, "../examples/tally", "v1"))
		if out, ok := s.run(tallyPath, "units", "--install"); !ok {
			t.Fatal(out)
		}
		s.must(s.machine.DaemonReload(s.ctx))
		s.must(s.machine.Start(s.ctx, tallyUnit))
		c := s.tally()
		c.adds(1)
		for range 10 {
			c.say("1")
			s.must(s.machine.Reload(s.ctx, tallyUnit))
			c.say("0\n") // one number with the half before
			c.hears(10)
			c.adds(1)
		}
		c.say("20")
		s.must(s.machine.Restart(s.ctx, tallyUnit))
		c.say("0\n")
		c.hears(200)
		s.must(s.machine.Reload(s.ctx, tallyUnit))
		c.adds(3)
		s.killTally()
		c.adds(4)
		s.deployTally("/bin/false")
		if err := s.machine.Reload(s.ctx, tallyUnit); err == nil {
			t.Error("an upgrade to /bin/false succeeded")
		}
		c.adds(5)
		s.killTally() // what has just been answered is not forgotten
		s.deployTally(program(t, "../examples/tally", "v1"))
		c.adds(6)
		if n := s.showOf(tallyUnit, "NFileDescriptorStore"); n != "2" {
			t.Errorf("%s files in the fd store, want the connection and its record", n)
		}
	})
}

const tallyPath = "/usr/local/bin/cutover-tally"

func (s *site) deployTally(path string) {
	s.Helper()
	s.must(s.machine.CopyFile(path, tallyPath))
}

// killTally kills the main process; systemd starts it again.
func (s *site) killTally() {
	s.Helper()
	pid, err := strconv.Atoi(s.showOf(tallyUnit, "MainPID"))
	s.must(err)
	s.must(s.machine.Signal(pid, syscall.SIGKILL))
}

// teller is a client of the tally, which knows what the sum should be.
type teller struct {
	*site
	conn  net.Conn
	lines *bufio.Reader
	sum   int
}

func (s *site) tally() *teller {
	s.Helper()
	c, err := s.machine.DialContext(s.ctx, "tcp", "127.0.0.1:7070")
	s.must(err)
	deadline, _ := s.ctx.Deadline()
	s.must(c.SetDeadline(deadline))
	s.Cleanup(func() { c.Close() })
	return &teller{site: s, conn: c, lines: bufio.NewReader(c)}
}

func (c *teller) say(text string) {
	c.Helper()
	_, err := fmt.Fprint(c.conn, text)
	c.must(err)
}

// hears waits for the answer to a number.
func (c *teller) hears(added int) {
	c.Helper()
	c.sum += added
	line, err := c.lines.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != fmt.Sprint(c.sum) {
		c.Fatalf("the session answers %q, %v, want %d", line, err, c.sum)
	}
}

func (c *teller) adds(n int) {
	c.Helper()
	c.say(fmt.Sprintln(n))
	c.hears(n)
}
