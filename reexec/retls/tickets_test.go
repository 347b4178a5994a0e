package retls

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

const day = 24 * time.Hour

// A desk issues tickets of a session as a server would, in a process that is main or
// is not, and with a fd store that works or does not.
type desk struct {
	*tickets
	testing.TB
	isMain      bool
	broken      error // of the fd store
	checkpoints int
	stored      reexec.State // the state in the fd store
	session     *tls.SessionState
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{tickets: newTickets(), TB: t, isMain: true, session: anySession(t)}
	d.main = func() bool { return d.isMain }
	d.checkpoint = func(context.Context) error {
		d.checkpoints++
		if d.broken == nil {
			d.stored = d.saved()
		}
		return d.broken
	}
	return d
}

// anySession returns a session of a server.
func anySession(t testing.TB) (session *tls.SessionState) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil) // for its certificate
	s.StartTLS()
	defer s.Close()
	config := s.TLS.Clone()
	config.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		session = ss
		return config.EncryptTicket(cs, ss)
	}
	near, far := net.Pipe()
	defer near.Close()
	go tls.Client(near, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(1)}).Handshake() // ends with near
	if err := tls.Server(far, config).Handshake(); err != nil || session == nil {
		t.Fatal("no session: ", err)
	}
	return session
}

// next is the process that gets state s.
func (d *desk) next(s reexec.State) *desk {
	d.Helper()
	n := newDesk(d)
	if err := n.restore(s); err != nil {
		d.Fatal(err)
	}
	return n
}

func (d *desk) saved() reexec.State {
	s, err := d.save()
	if err != nil {
		d.Fatal(err)
	}
	return s
}

func (d *desk) issue() []byte {
	d.Helper()
	ticket, err := d.wrap(tls.ConnectionState{}, d.session)
	if err != nil {
		d.Fatal(err)
	}
	return ticket
}

func (d *desk) accepts(ticket []byte) bool {
	d.Helper()
	session, err := d.unwrap(ticket, tls.ConnectionState{})
	if err != nil {
		d.Fatal(err)
	}
	return session != nil
}

func TestAKeyEncryptsForADayAndDecryptsForAWeek(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		first := d.keys.Current
		for today := range 10 {
			if rotated := string(d.keys.Current.Secret) != string(first.Secret); rotated {
				t.Fatalf("day %d began with another key", today)
			}
			ticket := d.issue()
			time.Sleep(day - time.Second)
			if d.issue(); string(d.keys.Current.Secret) != string(first.Secret) {
				t.Fatalf("the key of day %d did not last", today)
			}
			time.Sleep(time.Second)
			if d.issue(); string(d.keys.Current.Secret) == string(first.Secret) {
				t.Fatalf("the key of day %d still encrypts", today)
			}
			if first = d.keys.Current; !d.accepts(ticket) {
				t.Errorf("the ticket of day %d is not accepted on the next", today)
			}
		}
		if n := len(d.keys.Old); n != 6 {
			t.Errorf("%d old keys, want those of the 6 days before", n)
		}
		ticket := d.issue()
		time.Sleep(7*day - time.Second)
		if !d.accepts(ticket) {
			t.Error("a ticket is not accepted after almost a week")
		}
		time.Sleep(day)
		if d.accepts(ticket) {
			t.Error("a ticket is accepted after more than a week")
		}
	})
}

// Either of two generations may rotate its keys after the handover.
func TestGenerationsAcceptEachOthersTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := newDesk(t)
		time.Sleep(day - time.Second)
		before := old.issue()
		next := old.next(old.saved())
		time.Sleep(time.Second)
		for _, d := range []*desk{old, next} {
			if d.isMain = true; !d.accepts(before) {
				t.Error("a ticket from before is not accepted")
			}
		}
		if !next.accepts(old.issue()) {
			t.Error("the successor does not accept what its predecessor has issued with the next key")
		}
		if !old.accepts(next.issue()) {
			t.Error("the predecessor does not accept what its successor has issued on trial")
		}
	})
}

// The successor of a process that rotated twice after the handover would not know the new
// key.
func TestOnlyTheMainProcessRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := newDesk(t)
		next := old.next(old.saved())
		old.isMain = false
		for range 3 {
			if !next.accepts(old.issue()) {
				t.Error("the successor does not accept what its predecessor issues while it drains")
			}
			time.Sleep(day)
		}
		if old.checkpoints != 0 {
			t.Errorf("%d checkpoints of a process that is not main", old.checkpoints)
		}
	})
}

func TestTheStoreHasTheKeyOfEveryTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		for today := range 3 {
			ticket := d.issue()
			d.issue()
			if !d.next(d.stored).accepts(ticket) {
				t.Errorf("after a crash on day %d its ticket is not accepted", today)
			}
			if d.checkpoints != today+1 {
				t.Errorf("%d checkpoints on day %d, want one a day", d.checkpoints, today)
			}
			time.Sleep(day)
		}
		d.issue()
		n := d.next(d.stored)
		if n.issue(); n.checkpoints != 0 {
			t.Errorf("%d checkpoints of what came from the store", n.checkpoints)
		}
		time.Sleep(day)
		if n.issue(); n.checkpoints != 1 {
			t.Errorf("%d checkpoints, want one for the rotation", n.checkpoints)
		}
	})
}

// Handshakes get tickets although the fd store fails.
func TestAFailedCheckpointIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.broken = errors.New("no manager listens")
		d.issue()
		ticket := d.issue()
		if d.checkpoints != 1 {
			t.Errorf("%d checkpoints, want one", d.checkpoints)
		}
		d.broken = nil
		time.Sleep(checkpointPause)
		if d.issue(); d.checkpoints != 2 || !d.next(d.stored).accepts(ticket) {
			t.Errorf("%d checkpoints, want a second one, of the same key", d.checkpoints)
		}
	})
}

func TestUnreadableKeysAreReplaced(t *testing.T) {
	good := newDesk(t).saved()
	for name, s := range map[string]reexec.State{
		"a later version": {Version: version + 1, Data: good.Data},
		"no keys":         {Version: version, Data: []byte("{}")},
		"garbage":         {Version: version, Data: good.Data[1:]},
	} {
		d := newDesk(t)
		before := string(d.keys.Current.Secret)
		if err := d.restore(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if string(d.keys.Current.Secret) != before || d.checkpointed || !d.accepts(d.issue()) {
			t.Errorf("%s: the keys are not new ones", name)
		}
	}
}

func TestAClockThatWasAheadDoesNotProlongAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.set(newKeys(time.Now().Add(365 * day)))
		n := d.next(d.saved())
		before := string(n.keys.Current.Secret)
		time.Sleep(day)
		if n.issue(); string(n.keys.Current.Secret) == before {
			t.Error("a key of next year still encrypts a day later")
		}
	})
}

func FuzzKeys(f *testing.F) {
	good, err := newKeys(time.Unix(1, 0)).rotated(time.Unix(1e9, 0)).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"current":{"secret":"AA=="},"next":null,"old":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		now := time.Now()
		k, err := decodeKeys(data, now)
		if err != nil {
			return
		}
		k.config() // must not panic
		if k.due(now.Add(rotation)) != true {
			t.Errorf("keys of %v outlive a day", k.Current.Since)
		}
	})
}
