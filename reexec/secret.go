package reexec

import (
	"crypto/rand"
	"fmt"
	"slices"
	"sync/atomic"
)

// secretLen is the size of a secret: enough for a key of AES-256, Ed25519 or HMAC-SHA256.
const secretLen = 32

// secretVersion is the version of the State of a secret.
const secretVersion = 1

// Secret returns a function that returns the secret called name: 32 random bytes that every
// generation of the program knows. It is for keys whose results clients bring to another
// process: stateless reset and address tokens of QUIC, signed cookies, upload tokens. A
// program that needs several keys asks for several names, or derives keys by crypto/hkdf.
//
// Call Secret before Ready. The function returns the secret after Ready, and an error that
// wraps [ErrNotReady] before: only then this generation knows the secret of its predecessor.
// The secret does not change from then on. The first generation makes it. A generation whose
// program does not ask for the secret hands it on.
//
// The secret is state of the program, see [Upgrader.Save]: it is in the memory of each
// process and in a sealed memfd, which the fd store has, too. It survives an upgrade, and with
// the fd store a restart and a crash. It is never on a disk, and is gone when the unit stops
// or the machine boots. A host key of ssh, which clients remember, and a key that two machines
// share belong into a file (LoadCredential=). Package retls has keys for TLS session tickets,
// which it changes every day.
//
// A secret that cannot be read, such as one of a later version of the library, is replaced by
// a new one.
func (u *Upgrader) Secret(name string) (secret func() ([]byte, error), err error) {
	var current atomic.Pointer[[]byte]
	first := make([]byte, secretLen)
	_, _ = rand.Read(first) // never fails
	current.Store(&first)

	state := "secret " + name
	save := func() (State, error) { return State{Version: secretVersion, Data: *current.Load()}, nil }
	restore := func(s State) error {
		if s.Version != secretVersion || len(s.Data) != secretLen {
			u.log.Warn("the secret has an unknown form: this process makes a new one", "name", name, "version", s.Version)
			return nil
		}
		current.Store(&s.Data)
		return nil
	}
	if err = u.Save(state, save); err == nil {
		err = u.Restore(state, restore)
	}
	if err != nil {
		return nil, err
	}
	return func() ([]byte, error) {
		if !closed(u.ready.restored) || u.ready.restoreErr != nil {
			return nil, fmt.Errorf("secret %q: %w", name, ErrNotReady)
		}
		return slices.Clone(*current.Load()), nil
	}, nil
}
