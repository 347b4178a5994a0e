package fd

import (
	"bytes"
	"os"

	"golang.org/x/sys/unix"
)

// The entry of the auxiliary vector with the address of the path that was given to
// execve (getauxval(3)).
const atExecFn = 31

// maxPath bounds a path, as PATH_MAX does.
const maxPath = 4096

// ExecPath returns the path that was passed to execve for this program, or "" if it is not
// known. Unlike argv[0], it cannot be an arbitrary string. Unlike in /proc/self/exe,
// symbolic links are not resolved.
func ExecPath() string {
	vector, err := unix.Auxv()
	if err != nil {
		return ""
	}
	for _, entry := range vector {
		if entry[0] == atExecFn {
			return readString(int64(entry[1]))
		}
	}
	return ""
}

// readString returns the string of C at an address of this process.
func readString(address int64) string {
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		return ""
	}
	defer mem.Close()
	var text []byte
	for part := make([]byte, 256); len(text) < maxPath; { // a path is shorter than 256 bytes in most cases
		n, _ := mem.ReadAt(part, address+int64(len(text))) // it ends early at the end of the stack
		end := bytes.IndexByte(part[:n], 0)
		if end >= 0 {
			return string(append(text, part[:end]...))
		}
		if n == 0 {
			return ""
		}
		text = append(text, part[:n]...)
	}
	return ""
}
