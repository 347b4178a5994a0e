//go:build linux

package tableflip_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/reexec/tableflip"
)

// This file has the programs of the tests. A program runs in a process and its successor, and
// an error fails the test. Each is named like the test of tableflip v1.2.3 with the same
// assertions.

// scenario is a program. The parent starts it, the child is its upgrade.
type scenario struct {
	options       tableflip.Options
	parent, child func(u *tableflip.Upgrader) error
}

var scenarios = map[string]scenario{
	"TestUpgraderOnOS":        {parent: upgradesOnOS, child: childOnOS},
	"TestUpgraderCleanExit":   {parent: failsToUpgrade, child: func(*tableflip.Upgrader) error { os.Exit(0); return nil }},
	"TestUpgraderUncleanExit": {parent: failsToUpgrade, child: func(*tableflip.Upgrader) error { os.Exit(1); return nil }},
	"TestUpgraderTimeout": {options: tableflip.Options{UpgradeTimeout: 200 * time.Millisecond},
		parent: failsToUpgrade, child: waitsForEver},
	"TestUpgraderListenConfig":           {options: tableflip.Options{ListenConfig: &listenConfig}, parent: usesListenConfig},
	"TestUpgraderConcurrentUpgrade":      {parent: upgradesTwiceAtOnce, child: waitsForEver},
	"TestHasParent":                      {parent: hasParent(false), child: hasParent(true)},
	"TestUpgraderWaitForParent":          {parent: outlivesUpgrade, child: waitsForParent},
	"TestUpgraderReady":                  {parent: exitIsClosed, child: (*tableflip.Upgrader).Ready},
	"TestUpgraderShutdownCancelsUpgrade": {parent: stopsDuringUpgrade, child: waitsForEver},
	"TestReadyWritesPIDFile":             {options: tableflip.Options{PIDFile: "dir/pid"}, parent: pidFileIsRight("dir/pid"), child: pidFileIsRight("dir/pid")},
	"TestWritePidFileWithoutPath":        {options: tableflip.Options{PIDFile: "pid"}, parent: pidFileIsRight("pid"), child: pidFileIsRight("pid")},
	"TestFdsAddListener":                 {parent: addsListeners, child: inheritsListeners},
	"TestFdsAddPacketConn":               {parent: addsPacketConns, child: inheritsPacketConns},
	"TestFdsListen":                      {parent: listens(false), child: inherits(false)},
	"TestFdsListenWithCallback":          {parent: listens(true), child: inherits(true)},
	"TestFdsRemoveUnix":                  {parent: removesUnix},
	"TestFdsConn":                        {parent: addsConn, child: inheritsConn},
	"TestFdsFile":                        {parent: addsFiles, child: inheritsFile},
	"TestFdsFiles":                       {parent: addsFiles, child: inheritsFiles},

	// These have no counterpart.
	"an undone upgrade":              {options: tableflip.Options{PIDFile: "pid"}, parent: pidFileSurvives, child: failsAfterReady},
	"a stop before Ready":            {parent: stopsBeforeReady},
	"connections delay Exit":         {parent: finishesConnection, child: acceptsOne},
	"listen after Ready":             {parent: listensLate, child: inheritsLate},
	"a new process dies":             {options: tableflip.Options{PIDFile: "pid"}, parent: servesAgain, child: diesLate},
	"a closed listener is inherited": {parent: closesBeforeUpgrade, child: acceptsOne},
}

func upgrades(u *tableflip.Upgrader) error {
	if err := u.Ready(); err != nil {
		return err
	}
	return u.Upgrade()
}

func failsToUpgrade(u *tableflip.Upgrader) error {
	if err := upgrades(u); err == nil {
		return errors.New("Upgrade returns nil")
	}
	return nil
}

// waitsForEver tells that it runs.
func waitsForEver(*tableflip.Upgrader) error {
	_ = os.WriteFile("running", nil, 0o600) // awaited by the parent
	time.Sleep(time.Hour)
	return nil
}

// appears waits for a file.
func appears(path string) error {
	for range 6000 {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("there is no file %s", path)
}

var words = []string{"zaphod", "beeblebrox"}

func upgradesOnOS(u *tableflip.Upgrader) error {
	readers := map[string]*os.File{}
	for _, n := range words {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		if err := u.AddFile(n, w); err != nil {
			return err
		}
		readers[n] = r
		w.Close()
	}
	if err := u.Upgrade(); err == nil {
		return errors.New("Upgrade before Ready returns nil")
	}
	if err := upgrades(u); err != nil {
		return err
	}
	<-u.Exit() // the copies of this process are closed
	if err := os.WriteFile("end", nil, 0o600); err != nil {
		return err
	}
	for _, n := range words {
		if b, err := io.ReadAll(readers[n]); err != nil || string(b) != n {
			return fmt.Errorf("the child writes %q, %v; want %q", b, err, n)
		}
	}
	return nil
}

func childOnOS(u *tableflip.Upgrader) error {
	for _, n := range words {
		f, err := u.File(n)
		if err != nil || f == nil {
			return fmt.Errorf("file %s: %v, %v", n, f, err)
		}
		if _, err := io.WriteString(f, n); err != nil {
			return err
		}
		f.Close()
	}
	return u.Ready()
}

var (
	listenConfig     = net.ListenConfig{Control: func(string, string, syscall.RawConn) error { listenConfigUsed++; return nil }}
	listenConfigUsed int
)

func usesListenConfig(u *tableflip.Upgrader) error {
	_, err1 := u.Listen("tcp", "localhost:0")
	_, err2 := u.ListenPacket("udp", "localhost:0")
	if err := errors.Join(err1, err2); err != nil || listenConfigUsed != 2 {
		return fmt.Errorf("%v, Control is called %d times, want 2", err, listenConfigUsed)
	}
	return u.Ready()
}

func upgradesTwiceAtOnce(u *tableflip.Upgrader) error {
	if err := u.Ready(); err != nil {
		return err
	}
	first := make(chan error, 1)
	go func() { first <- u.Upgrade() }()
	if err := appears("running"); err != nil {
		return err
	}
	if err := u.Upgrade(); err == nil {
		return errors.New("a second Upgrade returns nil")
	}
	u.Stop()
	<-first
	return nil
}

func hasParent(want bool) func(*tableflip.Upgrader) error {
	return func(u *tableflip.Upgrader) error {
		if u.HasParent() != want {
			return fmt.Errorf("HasParent is %v", !want)
		}
		if want {
			return u.Ready()
		}
		return upgrades(u)
	}
}

func outlivesUpgrade(u *tableflip.Upgrader) error {
	if err := upgrades(u); err != nil {
		return err
	}
	<-u.Exit()
	if err := appears("waiting"); err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond) // the child would return too early in this time
	return os.WriteFile("exiting", nil, 0o600)
}

func waitsForParent(u *tableflip.Upgrader) error {
	if err := u.Ready(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := u.WaitForParent(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("WaitForParent with a deadline: %v", err)
	}
	if err := os.WriteFile("waiting", nil, 0o600); err != nil {
		return err
	}
	if err := u.WaitForParent(context.Background()); err != nil {
		return err
	}
	if _, err := os.Stat("exiting"); err != nil {
		return errors.New("WaitForParent returns before the parent exits")
	}
	return nil
}

func exitIsClosed(u *tableflip.Upgrader) error {
	if err := upgrades(u); err != nil {
		return err
	}
	<-u.Exit()
	return nil
}

func stopsDuringUpgrade(u *tableflip.Upgrader) error {
	if err := u.Ready(); err != nil {
		return err
	}
	first := make(chan error, 1)
	go func() { first <- u.Upgrade() }()
	if err := appears("running"); err != nil {
		return err
	}
	u.Stop()
	if err := <-first; err == nil {
		return errors.New("Upgrade returns nil after Stop")
	}
	if err := u.Upgrade(); err == nil {
		return errors.New("Upgrade after Stop returns nil")
	}
	return nil
}

func pidIn(path string, want int) error {
	b, err := os.ReadFile(path)
	if err != nil || string(b) != fmt.Sprint(want) {
		return fmt.Errorf("the PID file has %q, %v; want %d", b, err, want)
	}
	return nil
}

func pidFileIsRight(path string) func(*tableflip.Upgrader) error {
	return func(u *tableflip.Upgrader) error {
		if err := u.Ready(); err != nil {
			return err
		}
		if err := pidIn(path, os.Getpid()); err != nil || u.HasParent() {
			return err
		}
		return u.Upgrade()
	}
}

func pidFileSurvives(u *tableflip.Upgrader) error {
	if err := failsToUpgrade(u); err != nil {
		return err
	}
	return pidComes("pid", os.Getpid())
}

// pidComes waits until the file at path has the pid want: the engine tells of an upgrade a
// moment later.
func pidComes(path string, want int) error {
	for range 1000 {
		if pidIn(path, want) == nil {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return pidIn(path, want)
}

// failsAfterReady writes the PID file and does not serve.
func failsAfterReady(u *tableflip.Upgrader) error {
	u.Reexec().Fail(errors.New("not today"))
	if err := u.Ready(); err == nil {
		return errors.New("Ready returns nil after Fail")
	}
	os.Exit(1)
	return nil
}
