//go:build !ordinarychild

package fd

import "golang.org/x/sys/unix"

// siblingFlags makes a program a child of our parent.
const siblingFlags = unix.CLONE_PARENT
