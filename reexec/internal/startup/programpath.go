package startup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cutover-go/cutover/internal/fd"
)

// Self leads to the file that this process executes, even if its path was replaced or
// removed.
const Self = "/proc/self/exe"

// ProgramPath returns the path of the program or of its replacement. The path of the execve
// call keeps its symbolic links. argv[0] is free text (ExecStart=@) and may name another
// program. ProgramPath returns the first of the two that leads to the running file, or the path
// in /proc/self/exe if both are relative to another directory than dir. If
// neither does, the file was replaced since the start; then it returns the path of execve,
// or else the path in /proc/self/exe.
func ProgramPath(dir, execPath, argv0 string) (string, error) {
	relative := !filepath.IsAbs(execPath)
	execPath = absolute(dir, execPath)
	running, err := os.Stat(Self)
	if execPath != "" && (err != nil || isFile(execPath, running)) { // without /proc there is nothing to compare with
		return execPath, nil
	}
	found, lookErr := lookPath(dir, argv0)
	if err != nil {
		return found, lookErr
	}
	paths := []string{found}
	if link, err := os.Readlink(Self); err == nil && relative {
		paths = append(paths, link) // the program may have changed its directory before New
	}
	for _, path := range paths {
		if isFile(path, running) {
			return path, nil
		}
	}
	if execPath != "" {
		return execPath, nil
	}
	path, err := os.Readlink(Self)
	return strings.TrimSuffix(path, " (deleted)"), err
}

// isFile reports whether path leads to the file of info.
func isFile(path string, info os.FileInfo) bool {
	at, err := os.Stat(path)
	return err == nil && os.SameFile(at, info)
}

// lookPath returns the absolute path of the program that a shell in dir would execute for argv0.
func lookPath(dir, argv0 string) (string, error) {
	found, err := exec.LookPath(argv0)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return found, err
	}
	return absolute(dir, found), nil
}

// absolute makes path absolute. It returns "" for a path of a descriptor, which the manager
// may have executed, because that is not the path of a file.
func absolute(dir, path string) string {
	switch {
	case path == "" || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/"):
		return ""
	case filepath.IsAbs(path):
		return path
	}
	return filepath.Join(dir, path)
}

// Program returns the path and the working directory with which to start this program again.
// path is absolute.
func Program() (path, dir string, err error) {
	dir, _ = os.Getwd() // "" if it was deleted, which leaves a program with an absolute path
	path, err = ProgramPath(dir, fd.ExecPath(), os.Args[0])
	if err != nil {
		return "", "", fmt.Errorf("reexec: find the path of this program, to start it again: %w", err)
	}
	if !filepath.IsAbs(path) {
		return "", "", fmt.Errorf("reexec: program %s: the path is relative and the working directory was deleted", path)
	}
	return path, dir, nil
}
