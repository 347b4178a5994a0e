// Package retls lets TLS clients resume their sessions with the next process after an
// upgrade, a restart, or a crash.
//
//	reexec.ServiceFunc(func(ctx context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
//		if err := retls.Tickets(u, "https", srv.TLSConfig); err != nil {
//			return nil, err
//		}
//		return rehttp.Service("https", ":8443", srv).Listen(ctx, u)
//	})
//
// A server encrypts a session ticket with a key. crypto/tls makes new keys in each
// process, so that after an upgrade every client needs a full handshake, all of them at
// once. [Tickets] passes the keys on as state of the program (see
// [reexec.Upgrader.Save]). It rotates them like crypto/tls: a key encrypts for a day and
// decrypts for a week.
//
// The key of the next day exists a day ahead. So processes that share the keys accept each
// other's tickets. A predecessor, for example, can finish its handshakes after it has
// handed the keys over.
//
// # Secrecy
//
// A person who has a key can take over the sessions whose tickets it encrypts. With TLS
// 1.2, though not with TLS 1.3, such a person can also decrypt recorded sessions. The keys
// are in the memory of the process and in a sealed memfd, which the fd store of the
// service manager has, too. They are never on a disk, and they are gone when the unit
// stops.
//
// These can read the keys: the manager; root; processes that may trace the process
// (ptrace(2): by default those of its user, unless the unit is hardened); and each program
// that replaces the service, because an upgrade hands the keys over.
package retls

import (
	"crypto/tls"
	"errors"

	"github.com/cutover-go/cutover/reexec"
)

// Tickets makes cfg issue session tickets that later generations accept. Call Tickets
// before u.Ready, and before the first use or clone of cfg. Later clones, such as that of
// http.Server, share the keys. Tickets sets WrapSession and UnwrapSession. It returns an
// error if one of them is already set, because it would replace that function.
//
// The name identifies the keys, and Tickets refuses a name that is in use. Servers with
// clones of cfg accept each other's sessions. If servers must not do that, for example
// because only one of them requires client certificates, give each its own Config and
// name.
//
// Tickets stores the keys in the fd store before the first ticket is issued, and after
// each rotation. For that it calls u.Checkpoint, which calls every function registered
// with u.Save. Tickets does so within a handshake, at most once a day unless it fails.
// Without a fd store, keys survive upgrades only. Unreadable keys, such as those of a later
// version of this package, are replaced by new ones, and clients need a full handshake.
//
// Tickets does not cover a Config that GetConfigForClient returns, unless it is a clone of
// cfg. SetSessionTicketKeys has no effect on cfg after Tickets.
func Tickets(u *reexec.Upgrader, name string, cfg *tls.Config) error {
	if cfg.WrapSession != nil || cfg.UnwrapSession != nil {
		return errors.New("retls: the tls.Config already has WrapSession or UnwrapSession, which Tickets would replace")
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
