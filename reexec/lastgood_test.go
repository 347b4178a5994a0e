//go:build linux

package reexec_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/needs"
)

// onProbation are options with a probation that does not end within a test.
const onProbation = `{"NoSignals":false,"Probation":` + hour + `}`

// A unit of programs of which each has another identity.
type probation struct {
	*service
	address string
}

// onProbation starts a program at a path of its own.
func newProbation(t *testing.T, version int, lines ...string) (*probation, *process) {
	t.Helper()
	s := newScene(t)
	s.path = filepath.Join(s.dir, "program")
	s.release()
	s.args = []string{s.path, "actor"}
	b := &probation{service: s.service(version, append(lines, "RestartSec=0")...)}
	job := b.job(b.manager.Start)
	one := s.next()
	b.address = one.comeUp(onProbation)
	b.succeeds(job)
	return b, one
}

// release puts a new file at the path of the program.
func (s *scene) release() {
	s.Helper()
	self, err := os.Open("/proc/self/exe")
	s.must(err)
	defer self.Close()
	syscall.ForkLock.RLock() // a child with the file open would make its start fail (ETXTBSY)
	defer syscall.ForkLock.RUnlock()
	file, err := os.OpenFile(s.path+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	s.must(err)
	_, err = io.Copy(file, self)
	s.must(err)
	s.must(file.Close())
	s.must(os.Rename(s.path+".new", s.path))
}

// comeUp calls New and Ready, and returns the address of the socket.
func (r *process) comeUp(options string) string {
	r.Helper()
	r.Do("new", options)
	address := r.Do("listen", "a", "tcp", anywhere)
	r.Do("ready")
	return address
}

// identity is that of the file that the process executes.
func (r *process) identity() string {
	r.Helper()
	identity, err := fd.Identity(fmt.Sprintf("/proc/%d/exe", r.PID))
	r.must(err)
	return identity
}

// upgrade replaces r by the program at its path, and ends r.
func (b *probation) upgrade(r *process, options string) *process {
	b.Helper()
	job := b.job(b.manager.Reload)
	next := b.next()
	next.comeUp(options)
	b.succeeds(job)
	next.state("serving")
	r.Do("drain")
	r.Do("close")
	r.Exit(0)
	return next
}

// store waits until the fd store has n entries.
func (b *probation) store(n int) {
	b.Helper()
	want := fmt.Sprint(n)
	b.must(b.manager.Wait(b.ctx, unit, func(p map[string]string) bool { return p["NFileDescriptorStore"] == want }))
}

// fallsBack starts the program on disk, which executes another one.
func (b *probation) fallsBack() *process {
	b.Helper()
	failed := b.next()
	_ = failed.Begin("new", onProbation) // does not return
	good := b.next()
	if good.PID != failed.PID {
		b.Errorf("process %d is the last good program, want that of the failed one, %d", good.PID, failed.PID)
	}
	if address := good.comeUp(onProbation); address != b.address {
		b.Errorf("the last good program listens on %s, want %s", address, b.address)
	}
	b.must(b.manager.Wait(b.ctx, unit, func(p map[string]string) bool {
		return p["ActiveState"] == "active" && strings.Contains(p["StatusText"], "as the last good program, because "+b.path+" failed")
	}))
	b.shows(mainPID(good))
	b.hosted(b.address, good)
	return good
}

func TestADeathInTheProbationStartsTheLastGoodProgram(t *testing.T) {
	t.Parallel()
	for _, version := range []int{247, 257} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			b, one := newProbation(t, version)
			good := one.identity()
			b.release()
			two := b.upgrade(one, onProbation)
			b.store(2)
			two.kill()
			three := b.fallsBack()
			if three.identity() != good {
				t.Errorf("the program of the crash was executed again")
			}
			if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", three.PID)); err != nil || string(name) != "program\n" {
				t.Errorf("the process is called %q, %v", name, err)
			}
			if events := three.Do("observed", "1"); !strings.Contains(events, `"last-good"`) {
				t.Errorf("events: %s", events)
			}
			three.kill() // the last good program dies, too
			three = b.fallsBack()
			b.shows("NRestarts=2")

			b.release()
			four := b.upgrade(three, onProbation)
			if status, err := b.manager.Show(b.ctx, unit, "StatusText"); err != nil || strings.Contains(status, "last good") {
				t.Errorf("STATUS=%s, %v after an upgrade", status, err)
			}
			b.store(2) // one entry for the new program, none for the failed one
			four.kill()
			if five := b.fallsBack(); five.identity() != good {
				t.Error("the last good program is not the one that served before")
			}
		})
	}
}

// The program of an upgrade within the probation is compared with the one before both.
func TestAnUnprovenProgramIsNotTheLastGoodOne(t *testing.T) {
	b, one := newProbation(t, 257)
	good := one.identity()
	b.release()
	two := b.upgrade(one, onProbation)
	two = b.upgrade(two, onProbation) // the same file again
	b.release()
	three := b.upgrade(two, onProbation)
	b.store(2)
	three.kill()
	if four := b.fallsBack(); four.identity() != good {
		t.Error("the unproven program was executed")
	}
}

func TestTheProbationEnds(t *testing.T) {
	b, one := newProbation(t, 252)
	b.release()
	two := b.upgrade(one, `{"NoSignals":false,"Probation":1000000}`)
	b.store(1)
	two.kill()
	b.hosted(b.next().comeUp(onProbation), b.appeared()[2])
}

func TestNoProbationKeepsNoProgram(t *testing.T) {
	b, one := newProbation(t, 252)
	b.release()
	b.upgrade(one, signals)
	b.store(1)
}

// An upgrade with the same file has nothing to compare.
func TestTheSameProgramHasNoProbation(t *testing.T) {
	b, one := newProbation(t, 252)
	two := b.upgrade(one, onProbation)
	b.store(1)
	two.kill()
	b.hosted(b.next().comeUp(onProbation), b.appeared()[2])
}

func TestARestartStartsTheProgramOnDisk(t *testing.T) {
	b, one := newProbation(t, 252)
	b.release()
	two := b.upgrade(one, onProbation)
	b.store(2)
	bad := two.identity()
	job := b.job(b.manager.Restart)
	two.Do("drain")
	two.Do("close")
	two.Exit(0)
	three := b.next()
	b.hosted(three.comeUp(onProbation), three)
	b.succeeds(job)
	if three.identity() != bad {
		t.Error("a restart within the probation executes the last good program")
	}
	b.store(1)
}

// A failure that the program reports is a death.
func TestAFailureStartsTheLastGoodProgram(t *testing.T) {
	b, one := newProbation(t, 252)
	b.release()
	two := b.upgrade(one, onProbation)
	two.Do("fail", "the database is not the one I know")
	two.Do("drain")
	two.Do("close")
	two.Exit(1)
	b.fallsBack()
}

func TestTheProgramOfAnUndoneUpgradeIsNotStarted(t *testing.T) {
	b, one := newProbation(t, 252)
	for range 2 { // the second program replaces the first in the fd store
		b.release()
		job := b.job(b.manager.Reload)
		two := b.next()
		two.Do("new", onProbation)
		two.Begin("fail", "no configuration")
		if <-job == nil {
			t.Error("the reload succeeded")
		}
		b.store(2)
	}
	one.kill()
	three := b.fallsBack()
	b.release() // and the file that is good again is
	three.kill()
	four := b.next()
	b.hosted(four.comeUp(onProbation), four)
	b.store(1)
}

// The caller, not the program, is the reason.
func TestTheProgramOfACanceledUpgradeIsStarted(t *testing.T) {
	b, one := newProbation(t, 252)
	b.release()
	upgrade := one.Begin("upgrade")
	b.next().Do("new", onProbation)
	upgrade.Cancel()
	upgrade.Fails("changed its mind")
	b.store(1)
	one.kill()
	two := b.next()
	b.hosted(two.comeUp(onProbation), two)
}

// systemd sends the size of the store since 254.
func TestAFullStoreKeepsSocketsAndNotTheProgram(t *testing.T) {
	b, one := newProbation(t, 257, "FileDescriptorStoreMax=3")
	b.release()
	two := b.upgrade(one, onProbation) // three of three: the marks of an upgrade need the others
	b.store(1)
	one.Await("the last good program is not kept, so a crash starts the program on disk", "raise FileDescriptorStoreMax=")
	two.kill()
	three := b.next()
	b.hosted(three.comeUp(onProbation), three)
}

// A process could otherwise store any program, to be executed after its end.
func TestALastGoodProgramOfAnotherUserIsNotExecuted(t *testing.T) {
	needs.Root(t, "no other user gives files away")
	b, one := newProbation(t, 252)
	b.must(os.Chown(b.path, 4711, -1))
	b.release()
	two := b.upgrade(one, onProbation)
	b.store(2)
	two.kill()
	three := b.next()
	b.hosted(three.comeUp(onProbation), three)
	b.store(1)
}

func TestADeathAfterAnExecveInPlaceStartsTheLastGoodProgram(t *testing.T) {
	const inPlace = `{"NoSignals":false,"Mode":"in-place","Probation":` + hour + `}`
	b, one := newProbation(t, 252)
	one = b.upgrade(one, inPlace)
	good := one.identity()
	b.release()
	job := b.job(b.manager.Reload)
	tried := b.next()
	tried.Do("new", inPlace)
	tried.Do("listen", "a", "tcp", anywhere)
	tried.Begin("ready").Fails("tried and found good")
	tried.Exit(0)
	two := b.next()
	two.comeUp(inPlace)
	b.succeeds(job)
	b.store(2)
	two.kill()
	if three := b.fallsBack(); three.identity() != good {
		t.Error("the program of the crash was executed again")
	}
}
