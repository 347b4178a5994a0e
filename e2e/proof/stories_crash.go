package proof

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

func (s *scene) killOfMain() error {
	killed, err := s.kill(s.main(s.ctx), "the main process")
	if err != nil {
		return err
	}
	return s.recovers(killed.Before, func() bool { return s.restarted(killed) })
}

// recovers waits for the next main process after a kill, and checks the losses.
func (s *scene) recovers(killed int, restarted func() bool) error {
	if !restarted() {
		state, _ := s.stage.Show(s.ctx, s.units.service, "ActiveState") // for the message
		cause, text := s.downCause(state), ""
		s.endLoad()
		if lost := s.lost(); len(lost) > 0 {
			text = s.describe(lost) + " "
		}
		return flawf("%v after the death of the main process %d no other one serves; the service is %s. %sLikely cause: %s. %s",
			recovery, killed, state, text, cause, s.journal(s.ctx))
	}
	if err := s.pass(); err != nil {
		return err
	}
	return s.nothingLost()
}

// downCause says why no process has followed the killed one.
func (s *scene) downCause(state string) string {
	journal, _ := s.stage.Log(s.ctx, s.units.service) // without it one cause is not seen
	restart := s.units.value("Restart", "no")
	switch {
	case strings.Contains(lastLines(journal, 4), "repeated too quickly"):
		return s.units.says("StartLimitIntervalSec") + ": a start limit that is reached closes the sockets and drops the fd store; 0 means none"
	case restart == "no" || restart == "on-success":
		return s.units.says("Restart") + ": systemd does not start the service again"
	case state == "deactivating":
		return fmt.Sprintf("systemd waits for a process that does not end at SIGTERM, at most as %s says", s.units.says("TimeoutStopSec"))
	}
	return "the program does not start after a crash, or waits long: " + s.units.says("RestartSec")
}

// inTheDrain upgrades while a connection keeps the old process from its end. It returns the
// old and the new process.
func (s *scene) inTheDrain() (before, after int, release func(), err error) {
	held, err := s.hold()
	if err != nil {
		return 0, 0, nil, err
	}
	release = func() { _ = held.Close() } // it has done its work
	if err := s.pass(); err != nil {      // the process has accepted it
		release()
		return 0, 0, nil, err
	}
	if err := s.deploy(); err != nil {
		release()
		return 0, 0, nil, err
	}
	e, err := s.reload("the program itself, with a connection that is held")
	if err == nil {
		err = s.replaced(e)
	} else {
		err = s.refused(err)
	}
	if err == nil && e.Before == e.After {
		err = &missing{"the process is replaced in place: no old process drains"}
	}
	if err == nil && s.gone(e.Before) {
		if err = s.nothingLost(); err == nil {
			err = &missing{"the old process ends at once, although a connection is in the middle of a request: the connection moves, or the program does not drain"}
		}
	}
	if err != nil {
		release()
	}
	return e.Before, e.After, release, err
}

// hold opens a connection that is in the middle of a request.
func (s *scene) hold() (net.Conn, error) {
	for _, p := range s.probes() {
		if p.protocol == "UDP" || p.address == "" {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, s.Patience)
		defer cancel()
		c, err := s.stage.DialContext(ctx, streamNetwork(p.address), p.address)
		if err != nil {
			return nil, err
		}
		_, err = c.Write([]byte(p.begins))
		return c, err
	}
	return nil, &missing{"no probe has a connection that keeps the old process in its drain"}
}

func (s *scene) gone(pid int) bool {
	host, err := s.stage.HostPID(pid)
	if err != nil {
		return true
	}
	ended, err := awaitEnd(s.ctx, host, 0)
	return err == nil && ended
}

func (s *scene) deathOfTheOld() error {
	before, after, release, err := s.inTheDrain()
	if err != nil {
		return err
	}
	defer release()
	if _, err := s.kill(before, "the old process, in its drain"); err != nil {
		return err
	}
	if err := s.pass(); err != nil {
		return err
	}
	if now := s.main(s.ctx); now != after {
		s.endLoad()
		return flawf("After the death of the draining process %d the main process is %d instead of %d: systemd has taken it for a failure of the service. "+
			"Likely cause: %s, %s, or MAINPID= does not name the process that serves. %s",
			before, now, after, s.units.says("OOMPolicy"), s.units.says("KillMode"), s.journal(s.ctx))
	}
	return s.nothingLost()
}

// deathOfTheNew kills the new main process while the old one drains.
func (s *scene) deathOfTheNew() error {
	_, after, release, err := s.inTheDrain()
	if err != nil {
		return err
	}
	killed, err := s.kill(after, "the new main process, while the old one drains")
	if err != nil {
		release()
		return err
	}
	if err := s.pass(); err != nil {
		release()
		return err
	}
	release() // systemd starts the next process when the old one has ended
	return s.recovers(after, func() bool { return s.restarted(killed) })
}

func (s *scene) restartUnderLoad() error {
	e, err := s.restart("by systemctl")
	if err != nil {
		return flawf("systemctl restart failed: %v. %s", err, s.journal(s.ctx))
	}
	if e.After == e.Before || e.After == 0 {
		return flawf("After systemctl restart the main process is %d, as before.", e.After)
	}
	if err := s.pass(); err != nil {
		return err
	}
	return s.nothingLost()
}

const (
	// failedStarts is more than the start limit of systemd, which is five in ten seconds.
	failedStarts = 7
	// loopTime bounds the wait for that many. A unit may wait long between starts.
	loopTime = 12 * time.Second
)

// crashLoop kills the main process when the program at its path is broken, and repairs the
// program while systemd restarts it again and again.
func (s *scene) crashLoop() error {
	if err := s.deployWrapper(s.ctx, "exit", 0, "a program that exits at once"); err != nil {
		return err
	}
	before := s.restarts()
	killed, err := s.kill(s.main(s.ctx), "the main process, with a broken program on disk")
	if err != nil {
		return err
	}
	for end := time.Now().Add(loopTime); s.restarts() < before+failedStarts && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if state, _ := s.stage.Show(s.ctx, s.units.service, "ActiveState"); state == "failed" {
			break // it does not try again
		}
	}
	if err := s.deploy(); err != nil {
		return err
	}
	return s.recovers(killed.Before, func() bool { return s.restarted(killed) })
}

// restarts returns how often systemd has restarted the service by itself.
func (s *scene) restarts() int {
	text, _ := s.stage.Show(s.ctx, s.units.service, "NRestarts") // 0 if it cannot be read
	n, _ := strconv.Atoi(text)
	return n
}
