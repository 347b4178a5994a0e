package reexec

import "github.com/cutover-go/cutover/internal/fd"

// This file lets an upgrade begin when clients have all the descriptors of the process. The
// Upgrader reserves the few that an upgrade takes whatever the number of sockets, and gives
// them back step by step. Sockets are handed over without a duplicate.
//
//	step                                   descriptors
//	-------------------------------------  -----------
//	the reload command's connection        1
//	start: line, pidfd, pipe of the exec   7
//	each inbox of flows                    3
//	the new file of a state                2
//	a barrier, an entry of the fd store    2

// reserved is the number of descriptors in reserve. Clients may get some of those that are
// given back, so there are more than an upgrade takes.
const reserved = 24

// lent is how many descriptors are given back at once.
const lent = 4

// afford calls f, and again with descriptors of the reserve while it fails because none is
// free. What f has left free goes back into the reserve.
func (u *Upgrader) afford(f func() error) error {
	err := f()
	if fd.Short(err) {
		defer u.reserve.Fill()
	}
	for fd.Short(err) && u.reserve.Lend(lent) {
		err = f()
	}
	return err
}

// affordShut is afford with the gates shut: clients would get the descriptors first.
func (u *Upgrader) affordShut(f func() error) error {
	err := f()
	if !fd.Short(err) {
		return err
	}
	u.sockets.shut()
	defer u.sockets.open()
	return u.afford(f)
}
