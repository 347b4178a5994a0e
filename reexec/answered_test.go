//go:build linux

package reexec_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/internal/protocol"
)

// The process is its own reload command, so the errors pass through its control socket.
func TestReloadReturnsTheErrorsOfTheMainProcess(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	u := newUpgrader(t, reexec.Options{Drain: time.Minute, Next: func(c reexec.Command) (reexec.Command, error) {
		entered <- struct{}{}
		<-leave
		return c, errors.New("no configuration")
	}})
	t.Setenv("MAINPID", strconv.Itoa(os.Getpid()))
	reload := func(want error) {
		t.Helper()
		if err := reexec.Reload(t.Context()); !errors.Is(err, want) {
			t.Errorf("Reload = %v, want %v", err, want)
		}
	}

	reload(reexec.ErrNotReady)
	if err := u.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := make(chan error, 1)
	go func() { first <- reexec.Reload(context.WithoutCancel(t.Context())) }() // joined below
	<-entered
	reload(reexec.ErrBusy)
	close(leave)
	err := <-first
	var undone *reexec.UpgradeError
	if !errors.As(err, &undone) || undone.Phase != "start" || !strings.Contains(undone.Err.Error(), "no configuration") {
		t.Errorf("Reload = %v, want an UpgradeError of the start with its reason", err)
	}
	if text := err.Error(); strings.Count(text, "upgrade undone") != 1 {
		t.Errorf("Reload = %q, want the text once", text)
	}

	defer u.Hold()()
	u.Stop()
	<-protocol.Of(u).Stopping()
	reload(reexec.ErrStopped)
}
