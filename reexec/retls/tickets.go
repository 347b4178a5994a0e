package retls

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

const (
	// checkpointTimeout bounds the wait of a handshake for the fd store. It takes
	// microseconds unless the manager hangs.
	checkpointTimeout = time.Second

	// checkpointPause is the time between attempts after a failed checkpoint.
	checkpointPause = time.Minute
)

// version is the version of the encoded keys in a State.
const version = 1

// tickets encrypts and decrypts session tickets.
type tickets struct {
	main       func() bool // reports whether this process is main and no upgrade is under way
	checkpoint func(context.Context) error

	keeping sync.Mutex // held by the handshake that rotates and stores the keys; others wait

	// mu guards the fields below. The loop of the Upgrader may call save, so no method of
	// the Upgrader may be called with mu held.
	mu           sync.Mutex
	keys         keys
	config       *tls.Config // the result of keys.config
	checkpointed bool        // the fd store has the keys
	again        time.Time   // time of the next attempt to store the keys
}

func newTickets() *tickets {
	t := new(tickets)
	t.set(newKeys(time.Now()))
	return t
}

func (t *tickets) set(k keys) { t.keys, t.config = k, k.config() }

// wrap implements tls.Config.WrapSession.
func (t *tickets) wrap(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	t.keep()
	return t.coder().EncryptTicket(cs, ss)
}

// unwrap implements tls.Config.UnwrapSession.
func (t *tickets) unwrap(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	t.keep()
	return t.coder().DecryptTicket(identity, cs)
}

func (t *tickets) coder() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.config
}

// keep rotates the keys if a rotation is due, and stores them in the fd store if they are
// not there. Only the main process does that. If a predecessor rotated its keys twice after
// the handover, its successor would not know the new key.
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
	err := t.checkpoint(ctx) // after a failure the service works; only a crash would lose the keys
	t.mu.Lock()
	defer t.mu.Unlock()
	t.checkpointed, t.again = err == nil, time.Now().Add(checkpointPause)
}

// settled reports whether keep has nothing to do now.
func (t *tickets) settled() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	return !t.keys.due(now) && (t.checkpointed || now.Before(t.again))
}

func (t *tickets) rotate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); t.keys.due(now) {
		t.set(t.keys.rotated(now))
	}
}

// save returns the keys, for Upgrader.Save.
func (t *tickets) save() (reexec.State, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	data, err := t.keys.encode()
	return reexec.State{Version: version, Data: data}, err
}

// restore takes the keys over, for Upgrader.Restore. It ignores unreadable keys, because
// an error would keep the service from starting, now and after each restart.
func (t *tickets) restore(s reexec.State) error {
	k, err := decodeKeys(s.Data, time.Now())
	if s.Version != version || err != nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set(k)
	t.checkpointed = true
	return nil
}
