//go:build linux

package fdstore_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/internal/leak"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/drain"
	"github.com/cutover-go/cutover/reexec/internal/fdstore"
	"github.com/cutover-go/cutover/reexec/internal/lastgood"
	"github.com/cutover-go/cutover/reexec/internal/saved"
	"github.com/cutover-go/cutover/reexec/internal/sockets"
	"github.com/cutover-go/cutover/reexec/internal/startup"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

func TestMain(m *testing.M) { os.Exit(leak.Check(m.Run)) }

var silent = slog.New(slog.DiscardHandler)

// manager is a manager that notes the messages to its fd store.
type manager struct {
	*fdstore.Store
	t    *testing.T
	conn *net.UnixConn
}

// newManager returns a manager whose fd store has room for limit files.
func newManager(t *testing.T, limit string) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("FDSTORE", limit)
	n, err := notify.New()
	if err != nil {
		t.Fatal(err)
	}
	me, err := fd.Identity(startup.Self)
	if err != nil {
		t.Fatal(err)
	}
	direct := func(f func() error) error { return f() }
	m := &manager{t: t, conn: conn, Store: &fdstore.Store{
		Contents: fdstore.Contents{
			Notifier: n,
			Sockets:  sockets.FromPredecessor(nil, nil, drain.NewCounter(func() {}), silent),
			States:   saved.New(direct),
			Good:     &lastgood.Programs{Me: me},
		},
		Log:    silent,
		Afford: direct,
	}}
	t.Cleanup(func() { _, _, _, _ = m.Sockets.Close(), m.States.Close(), n.Close(), conn.Close() })
	return m
}

// keep keeps a file under name.
func (m *manager) keep(name string) *sockets.Kept {
	m.t.Helper()
	file, err := os.Open(os.DevNull)
	if err != nil {
		m.t.Fatal(err)
	}
	defer file.Close()
	k, err := m.Sockets.Keep(name, file)
	if err != nil {
		m.t.Fatal(err)
	}
	return k
}

// wants fails the test if the messages since the last call are others: +NAME stores an entry,
// -NAME removes one.
func (m *manager) wants(want ...string) {
	m.t.Helper()
	ctx := m.t.Context()
	if err := m.Notifier.Send(ctx, notify.Status("end")); err != nil {
		m.t.Fatal(err)
	}
	var got []string
	for {
		text, oob := make([]byte, 1<<12), make([]byte, 1<<10)
		n, rights, _, _, err := m.conn.ReadMsgUnix(text, oob)
		if err != nil {
			m.t.Fatal(err)
		}
		closeRights(m.t, oob[:rights])
		message := string(text[:n])
		if strings.Contains(message, "STATUS=end") {
			break
		}
		_, name, _ := strings.Cut(message, "FDNAME=")
		name, _, _ = strings.Cut(name, "\n")
		sign := "+"
		if strings.Contains(message, "FDSTOREREMOVE=1") {
			sign = "-"
		}
		got = append(got, sign+name)
	}
	if !slices.Equal(got, want) {
		m.t.Errorf("the manager got %q, want %q", got, want)
	}
}

func TestOnlyTheMainProcessChangesTheStore(t *testing.T) {
	m := newManager(t, "10")
	ctx := t.Context()
	k := m.keep("k")
	for _, c := range []struct {
		turn func()
		want error
	}{
		{func() {}, fdstore.ErrNotReady},
		{func() { m.Own(true) }, nil},
		{m.Hand, fdstore.ErrBusy},
		{func() { m.Own(false) }, fdstore.ErrReplaced},
	} {
		c.turn()
		if err := m.Check(); !errors.Is(err, c.want) {
			t.Errorf("Check = %v, want %v", err, c.want)
		}
		if err := m.StoreStates(ctx); !errors.Is(err, c.want) {
			t.Errorf("StoreStates = %v, want %v", err, c.want)
		}
		if err := m.Prove(ctx); !errors.Is(err, c.want) {
			t.Errorf("Prove = %v, want %v", err, c.want)
		}
		if err := errors.Join(m.Settle(ctx), m.StoreSockets(ctx), m.RemoveLastGood(ctx, "")); err != nil {
			t.Error(err)
		}
		m.keep("k")
	}
	m.wants("+cutover.0.k", "+cutover.1.k")
	if ok, closed, removed := m.Forget(ctx, k); !ok || closed != nil || removed != nil {
		t.Errorf("Forget = %v, %v, %v", ok, closed, removed)
	}
	if ok, _, _ := m.Forget(ctx, k); ok {
		t.Error("a file is forgotten twice")
	}
	m.wants()
	m.Own(true) // the upgrade was undone
	if err := m.Settle(ctx); err != nil {
		t.Error(err)
	}
	m.wants("-cutover.0.k", "+cutover.2.k", "+cutover.3.k", "+cutover.4.k")
}

func TestAFullStoreGivesTheLastGoodProgramUpFirst(t *testing.T) {
	m := newManager(t, "2")
	ctx := t.Context()
	m.Own(true)
	m.Good.Add(storename.Good("1-2-3"))
	m.keep("k")
	if err := m.StoreSockets(ctx); err != nil {
		t.Error(err)
	}
	m.keep("k")
	if err := m.StoreSockets(ctx); err != nil {
		t.Error(err)
	}
	m.keep("k")
	if err := m.StoreSockets(ctx); err == nil || !strings.Contains(err.Error(), "FileDescriptorStoreMax=") {
		t.Errorf("StoreSockets = %v, want an error that names the setting", err)
	}
	m.wants("+cutover.0.k", "-"+storename.Good("1-2-3"), "+cutover.1.k")
}

func TestTheLastGoodProgramIsKeptOnceForEachProgram(t *testing.T) {
	m := newManager(t, "10")
	ctx := t.Context()
	stored := 0
	keep := func(identity string) {
		t.Helper()
		if err := m.KeepLastGood(ctx, identity, func() { stored++ }); err != nil {
			t.Error(err)
		}
	}
	keep("a") // not the main process
	m.wants()
	m.Own(true)
	keep(m.Good.Me) // the same program again
	keep("a")
	keep("a")
	keep("b")
	m.DropLastGood(ctx, "b")
	if stored != 2 || len(m.Good.Entries()) != 0 {
		t.Errorf("%d entries were stored, and %q are left, want 2 and none", stored, m.Good.Entries())
	}
	m.wants("+"+storename.Good("a"), "+"+storename.Good("b"), "-"+storename.Good("a"), "-"+storename.Good("b"))
	keep("c")
	if err := m.Prove(ctx); err != nil {
		t.Error(err)
	}
	m.wants("+"+storename.Good("c"), "-"+storename.Good("c"))
}

func TestAConnectionIsStoredOnlyWithRoom(t *testing.T) {
	m := newManager(t, "4")
	ctx := t.Context()
	m.keep("k")
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := handover.Connection{Name: "http", Format: "f", Data: []byte("d")}
	if err := m.Connection(ctx, c, file); err != nil {
		t.Error(err)
	}
	if err := m.Connection(ctx, c, file); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("Connection = %v, want an error of a full store", err)
	}
	m.wants("+cutover.data.1", "+cutover.conn.1!f!http")
}

// closeRights closes the descriptors in the control messages oob.
func closeRights(t *testing.T, oob []byte) {
	t.Helper()
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range fds {
			_ = fd.New(raw).Close() // nothing was written
		}
	}
}
