package reexec

import "github.com/cutover-go/cutover/internal/fd"

// This file lets an upgrade begin when clients use all descriptors of the process. The Upgrader
// reserves the few descriptors that an upgrade needs, and frees them step by step. Their
// number does not depend on the sockets, which are handed over without a duplicate.
//
//	step                                   descriptors
//	-------------------------------------  -----------
//	the reload command's connection        1
//	start: line, pidfd, pipe of the exec   7
//	each inbox of flows                    3
//	the new file of a state                2
//	a barrier, an entry of the fd store    2
//	the last good program                  2

// reserved is the number of descriptors in reserve. It is more than an upgrade needs, because
// clients may get some of the freed ones.
const reserved = 24

// lent is the number of descriptors that are freed at once.
const lent = 4

// afford calls f. While f fails because no descriptor is free, afford frees some of the
// reserve and calls f again. In the end it fills the reserve with free descriptors.
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

// affordShut is afford with the gates shut, because clients would get the free descriptors.
func (u *Upgrader) affordShut(f func() error) error {
	err := f()
	if !fd.Short(err) {
		return err
	}
	u.sockets.Shut()
	defer u.sockets.Open()
	return u.afford(f)
}
