package running

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units/internal/cmdline"
	"github.com/cutover-go/cutover/units/internal/merged"
)

// replaced returns a difference if the main process p executes another program than the file that a
// start would execute. It compares the bytes of the two, because an operator who goes back to the
// program that serves makes a new file.
func (u *Unit) replaced(m *merged.Unit, p process) []Difference {
	at := m.LastWritten("ExecStart")
	if text := u.one("StatusText"); strings.Contains(text, " serves as the last good program, ") {
		return differs(ProgramDiffers, at, "STATUS= of the main process: %s", text)
	}
	name, ok := u.startedAs(p)
	process := filepath.Join("/proc", strconv.Itoa(p.pid))
	if _, err := os.Stat(process + "/root/"); err != nil || !ok {
		return nil // not known, or another user's process
	}
	same, err := sameProgram(process+"/exe", process+"/root"+name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return differs(ProgramDiffers, at, "%s does not exist, and the main process (%d) serves without it", name, p.pid)
	case err != nil || same:
		return nil
	}
	return differs(ProgramDiffers, at, "%s is another program than the one that the main process (%d) executes", name, p.pid)
}

// startedAs returns the file that ExecStart= executes in the end. ok is false if that is not
// known, and if ExecStart= has changed since the start, which restart-needed reports.
func (u *Unit) startedAs(p process) (name string, ok bool) {
	words, argv := unitfile.ShellWords(u.commandLine()), u.program()
	switch {
	case len(p.argv) == 0 || len(words) == 0:
		return "", false
	case p.argv[0] == words[0]:
		name = words[0] // also if the file is a script now: a process of that has another argv[0]
	case len(argv) == 0 || path.IsAbs(p.argv[0]) && p.argv[0] != argv[0]:
		return "", false
	default:
		name = argv[0]
	}
	return name, path.IsAbs(name)
}

// sameProgram reports whether two programs have the same bytes.
func sameProgram(exe, name string) (bool, error) {
	running, err := sum(exe)
	if err != nil {
		return false, err
	}
	there, err := sum(name)
	return bytes.Equal(running, there), err
}

func sum(program string) ([]byte, error) {
	f, err := os.Open(program)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	hash := sha256.New()
	_, err = io.Copy(hash, f)
	return hash.Sum(nil), err
}

// commandLine returns ExecStart= as systemctl shows it.
func (u *Unit) commandLine() string {
	_, rest, _ := strings.Cut(u.one("ExecStart"), "argv[]=")
	line, _, _ := strings.Cut(rest, " ; ignore_errors=")
	return line
}

// program returns the program that ExecStart= executes in the end, with its arguments, or nil if
// that is not known: a program in between may have other arguments than the process.
func (u *Unit) program() []string {
	last, stays := cmdline.Follow("", unitfile.ShellWords(u.commandLine()))
	if stays != nil {
		return nil
	}
	return last
}
