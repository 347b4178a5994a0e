//go:build linux

package probation_test

import (
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/internal/leak"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/fdstore"
	"github.com/cutover-go/cutover/reexec/internal/generation"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/probation"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
	"github.com/cutover-go/cutover/reexec/internal/startup"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run)) }

// world is a main process with a manager.
type world struct {
	*probation.Probation
	t       *testing.T
	manager *net.UnixConn
}

func newWorld(t *testing.T, length time.Duration) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("FDSTORE", "10")
	n, err := notify.New()
	if err != nil {
		t.Fatal(err)
	}
	me, err := fd.Identity(startup.Self)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	direct := func(f func() error) error { return f() }
	good := &lastgood.Programs{Me: me}
	store := &fdstore.Store{Log: log, Afford: direct, Contents: fdstore.Contents{
		Notifier: n,
		Sockets:  sockets.FromPredecessor(nil, nil, drain.NewCounter(func() {}), log),
		States:   saved.New(direct),
		Good:     good,
	}}
	store.Own(true)
	t.Cleanup(func() { _, _, _, _ = store.Sockets.Close(), store.States.Close(), n.Close(), conn.Close() })
	return &world{&probation.Probation{Time: length, Store: store, Good: good, Log: log}, t, conn}
}

// gets fails the test unless the manager gets these messages next: +NAME stores an entry, -NAME
// removes one.
func (w *world) gets(want ...string) {
	w.t.Helper()
	for _, message := range want {
		text := make([]byte, 1<<12)
		n, err := w.manager.Read(text) // the kernel closes the descriptors
		if err != nil {
			w.t.Fatal(err)
		}
		_, name, _ := strings.Cut(string(text[:n]), "FDNAME=")
		name, _, _ = strings.Cut(name, "\n")
		sign := "+"
		if strings.Contains(string(text[:n]), "FDSTOREREMOVE=1") {
			sign = "-"
		}
		if got := sign + name; got != message {
			w.t.Errorf("the manager gets %s, want %s", got, message)
		}
	}
}

// successor returns a successor with a program of this identity.
func (w *world) successor(identity string) *generation.Successor {
	w.t.Helper()
	a, b, err := fd.Pair()
	if err != nil {
		w.t.Fatal(err)
	}
	ours, err := handover.NewConn(a)
	if err != nil {
		w.t.Fatal(err)
	}
	theirs, err := handover.NewConn(b)
	if err != nil {
		w.t.Fatal(err)
	}
	defer theirs.Close()
	defer ours.Close()
	s := generation.NewSuccessor(&fd.Process{PID: 2}, ours, "")
	var answer sync.WaitGroup
	answer.Go(func() { _, _, _ = theirs.Greet(w.t.Context(), handover.Hello{PID: 1, Program: identity}) })
	_ = s.Greet(w.t.Context(), handover.Hello{}, nil, nil, false) // another pid, which is not of interest
	answer.Wait()
	return s
}

func TestTheLastGoodProgramIsGivenUpAfterTheProbation(t *testing.T) {
	w := newWorld(t, time.Millisecond)
	own := storename.Good(w.Good.Me)
	w.Good.Inherit([]string{"other", own}, nil)
	var tasks sync.WaitGroup
	w.Settle(t.Context(), tasks.Go)
	w.gets("-other", "-"+own)
	tasks.Wait()
	if names := w.Good.Entries(); len(names) > 0 {
		t.Errorf("entries %q are left", names)
	}
}

func TestAnEntryStaysForTheProgramThatFailed(t *testing.T) {
	w := newWorld(t, time.Hour)
	w.Good.InsteadOf = &lastgood.Failed{Identity: "bad", Path: "/bad"}
	w.Good.Add(storename.Good("bad"))
	w.Good.Add("other")
	w.Settle(t.Context(), func(func()) { t.Error("the last good program is on probation") })
	w.gets("-other")
	if names := w.Good.Entries(); !slices.Equal(names, []string{storename.Good("bad")}) {
		t.Errorf("entries %q", names)
	}
	w.Forget(t.Context())
	w.gets("-" + storename.Good("bad"))
}

func TestOnlyASuccessorThatIsTheReasonKeepsAnEntry(t *testing.T) {
	w := newWorld(t, time.Hour)
	ctx := t.Context()
	w.Keep(ctx, nil)
	w.Keep(ctx, w.successor(w.Good.Me)) // the same program again
	good := w.successor("good")
	w.Keep(ctx, good)
	w.Judge(ctx, good, false)
	w.gets("+"+storename.Good("good"), "-"+storename.Good("good"))
	w.Judge(ctx, w.successor("bad"), true)
	w.gets("+" + storename.Good("bad"))
	if names := w.Good.Entries(); !slices.Equal(names, []string{storename.Good("bad")}) {
		t.Errorf("entries %q", names)
	}
}

func TestWithoutAProbationNoProgramIsKept(t *testing.T) {
	w := newWorld(t, 0)
	w.Keep(t.Context(), w.successor("bad"))
	w.Good.Add("old") // of a version with a probation
	w.Settle(t.Context(), func(func()) { t.Error("a program is on probation") })
	w.gets("-old")
}
