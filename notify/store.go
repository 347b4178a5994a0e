package notify

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// Store asks the manager to keep the open files behind files under name, also
// when this process ends, and to pass them to the unit's next main process
// (FDSTORE=1). Anything with a descriptor will do: an *os.File, a
// *net.TCPListener, a *net.UDPConn ... The files stay the caller's, who may close
// them as soon as Store has returned: the manager gets duplicates.
//
// Store sends one message for each file, in the order given. The store has no
// order: it returns several files of one name in any order, and two Stores under
// one name add up. A caller that needs an order puts it into the names.
//
// The unit needs FileDescriptorStoreMax=. The manager silently drops a file that
// does not fit or that the store already holds; see StoreMax. It removes a file
// that hangs up at once, unless the file was given as Unpolled.
//
// It blocks as Send does. If some files could not be sent the error is a
// *StoreError. Protocol: sd_pid_notify_with_fds(3), FDSTORE= in sd_notify(3).
func (n *Notifier) Store(ctx context.Context, name string, files ...syscall.Conn) error {
	if n.idle() {
		return nil
	}
	if err := n.checkStore(name, len(files)); err != nil {
		return &StoreError{Name: name, Of: len(files), Err: err}
	}
	for i, f := range files {
		if err := n.send(ctx, storing(name, f)); err != nil {
			return &StoreError{Name: name, Sent: i, Of: len(files), Err: err}
		}
	}
	return nil
}

// A StoreError reports that the manager was not given all files of a Store.
type StoreError struct {
	Name string // as given to Store
	Sent int    // how many were sent, the first ones
	Of   int    // how many were to be
	Err  error  // why the next one was not; never nil
}

func (e *StoreError) Error() string {
	return fmt.Sprintf("notify: store %q: %d of %d sent: %v", e.Name, e.Sent, e.Of, e.Err)
}

func (e *StoreError) Unwrap() error { return e.Err }

// storing is the message that puts f into the store.
func storing(name string, f syscall.Conn) []Assignment {
	a := []Assignment{{key: "FDSTORE", value: "1", file: f}, {key: "FDNAME", value: name}}
	if u, ok := f.(unpolled); ok {
		a[0].file = u.Conn
		a = append(a, Assignment{key: "FDPOLL", value: "0"})
	}
	return a
}

// Unpolled makes Store keep f even when it hangs up (FDPOLL=0): a pipe or a
// connection whose other end is gone, a TCP socket that is not connected, the
// pidfd of a process that has exited, an O_PATH descriptor. Only Remove takes it
// out again. Least version: systemd 246.
func Unpolled(f syscall.Conn) syscall.Conn { return unpolled{f} }

type unpolled struct{ syscall.Conn }

// Remove takes everything stored under name out of the store
// (FDSTOREREMOVE=1). A name that is not there is no error; the empty name stands
// for the files stored with an empty one. It blocks as Send does.
// Least version: systemd 236.
func (n *Notifier) Remove(ctx context.Context, name string) error {
	if n.idle() {
		return nil
	}
	err := checkCharacters(name)
	if err == nil {
		err = n.send(ctx, []Assignment{{key: "FDSTOREREMOVE", value: "1"}, {key: "FDNAME", value: name}})
	}
	if err != nil {
		return fmt.Errorf("notify: remove %q from the store: %w", name, err)
	}
	return nil
}

// checkStore reports why count files cannot be stored under name.
func (n *Notifier) checkStore(name string, count int) error {
	if name == "" {
		return errors.New("a stored file needs a name to be claimed by")
	}
	if n.storeMax > 0 && count > n.storeMax {
		return fmt.Errorf("the store holds %d files at most; raise FileDescriptorStoreMax= of the unit", n.storeMax)
	}
	return checkCharacters(name)
}

// checkCharacters applies the manager's rule for names: a bad one would silently
// become "stored".
func checkCharacters(name string) error {
	if len(name) > 255 {
		return fmt.Errorf("name of %d bytes: at most 255 are allowed", len(name))
	}
	for i := range len(name) {
		if c := name[i]; c < ' ' || c > '~' || c == ':' {
			return fmt.Errorf("name has the byte %q: printable ASCII without a colon is allowed", c)
		}
	}
	return nil
}

// StoreMax returns how many files the manager keeps for this unit at most, those
// included that are in its store already: $FDSTORE, which stands for
// FileDescriptorStoreMax=. It is 0 if the manager has not told, as systemd before
// 254 never does.
//
// The unit's LimitNOFILE= must allow for all of them: with the default soft limit
// of 1024, about 1000 stored files make the next start fail with 202/FDS, and the
// store is lost.
func (n *Notifier) StoreMax() int {
	if n == nil {
		return 0
	}
	return n.storeMax
}
