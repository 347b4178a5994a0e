package retls

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

const (
	// checkpointTimeout bounds how long a handshake waits for the fd store, which
	// takes microseconds unless the manager hangs.
	checkpointTimeout = time.Second

	// checkpointPause is the time between attempts where the store does not work.
	checkpointPause = time.Minute
)

// version is that of the keys' form in a State.
const version = 1

// tickets makes and reads session tickets.
type tickets struct {
	main       func() bool // this process is main, and no upgrade is under way
	checkpoint func(context.Context) error

	keeping sync.Mutex // held by the handshake that rotates and keeps; others wait

	mu     sync.Mutex // guards what follows; save may run on the Upgrader's loop, so nothing is asked under it
	keys   keys
	config *tls.Config // of keys
	kept   bool        // a process after a crash would have keys
	again  time.Time   // when to try once more to keep them
}

func newTickets() *tickets {
	t := new(tickets)
	t.set(newKeys(time.Now()))
	return t
}

func (t *tickets) set(k keys) { t.keys, t.config = k, k.config() }

// wrap is tls.Config.WrapSession.
func (t *tickets) wrap(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	t.keep()
	return t.coder().EncryptTicket(cs, ss)
}

// unwrap is tls.Config.UnwrapSession.
func (t *tickets) unwrap(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	t.keep()
	return t.coder().DecryptTicket(identity, cs)
}

func (t *tickets) coder() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.config
}

// keep rotates the keys if it is time, and puts them into the fd store if it does not
// have them. Only the main process does either: what a predecessor has handed on, and
// then rotated twice, its successor would not know.
func (t *tickets) keep() {
	if t.settled() {
		return
	}
	t.keeping.Lock()
	defer t.keeping.Unlock()
	if t.settled() || !t.main() {
		return
	}
	t.rotate()
	ctx, cancel := context.WithTimeout(context.Background(), checkpointTimeout)
	defer cancel()
	err := t.checkpoint(ctx) // a failure costs the insurance against a crash, not the service
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept, t.again = err == nil, time.Now().Add(checkpointPause)
}

// settled reports whether there is nothing for keep to do now.
func (t *tickets) settled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	return !t.keys.due(now) && (t.kept || now.Before(t.again))
}

func (t *tickets) rotate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); t.keys.due(now) {
		t.set(t.keys.rotated(now))
	}
}

// save is for Upgrader.Save.
func (t *tickets) save() (reexec.State, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	data, err := t.keys.encode()
	return reexec.State{Version: version, Data: data}, err
}

// restore is for Upgrader.Restore. What cannot be read is left: an error would keep
// the service from starting, now and after each restart.
func (t *tickets) restore(s reexec.State) error {
	k, err := decodeKeys(s.Data, time.Now())
	if s.Version != version || err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(k)
	t.kept = true
	return nil
}
