package recorder

import "golang.org/x/sys/unix"

// kernel returns the release of the kernel.
func kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return "Linux " + unix.ByteSliceToString(name.Release[:])
}
