// Package retls lets TLS clients resume their sessions with the process that comes
// after: after an upgrade, a restart, and a crash.
//
// A session ticket is encrypted with a key of the server's. crypto/tls makes such
// keys anew in each process, so that after an upgrade every client needs a full
// handshake, all of them at once. [Tickets] carries the keys over, as state of the
// program (see [reexec.Upgrader.Save]), and rotates them like crypto/tls does: a key
// encrypts for a day and decrypts for a week.
//
// The key of the next day exists a day ahead. So every process that has been given
// the keys accepts what any other of them issues, be it a predecessor that finishes
// its handshakes after it has handed them on.
//
// # Secrecy
//
// Whoever has a key can take over the sessions whose tickets it encrypts, and read
// recorded ones of TLS 1.2, but not of TLS 1.3. The keys are in the memory of the
// process and in a sealed memfd, which the service manager's fd store has too: never
// on a disk, and gone with the unit's stop. What can read them is the manager, root,
// whoever may trace the process (ptrace(2), by default others of its user, unless
// the unit is hardened), and each program that takes the service's place: an upgrade
// hands them on.
package retls

import (
	"crypto/tls"
	"errors"

	"github.com/cutover-go/cutover/reexec"
)

// Tickets makes cfg issue session tickets that later generations accept. Call it
// before u.Ready, and before the first use or clone of cfg: clones that are made
// after it, as that of http.Server, share its keys. It sets WrapSession and
// UnwrapSession, and it is an error if one of them is there, for what it does would
// be undone.
//
// The name is that of the keys. A program with several servers whose sessions
// should not be good for one another, since only one of them asks clients for
// certificates for example, gives each its own.
//
// The keys are in the fd store before the first ticket goes out, and there again
// after each rotation, for which Tickets calls u.Checkpoint and thereby whatever
// u.Save has registered: within a handshake, and once a day at most unless it fails.
// Without a store, keys survive upgrades only. Keys that cannot be read, because a
// later version of this package has written them, are replaced by new ones, which
// costs clients a full handshake.
//
// Not covered are a Config that GetConfigForClient returns and that is no clone of
// cfg, and SetSessionTicketKeys, which has no effect on cfg any more.
func Tickets(u *reexec.Upgrader, name string, cfg *tls.Config) error {
	if cfg.WrapSession != nil || cfg.UnwrapSession != nil {
		return errors.New("retls: the Config has WrapSession or UnwrapSession already")
	}
	t := newTickets()
	t.main = func() bool { return u.Status().State == "serving" }
	t.checkpoint = u.Checkpoint
	name = "tls tickets " + name
	if err := errors.Join(u.Save(name, t.save), u.Restore(name, t.restore)); err != nil {
		return err
	}
	cfg.WrapSession, cfg.UnwrapSession = t.wrap, t.unwrap
	return nil
}
