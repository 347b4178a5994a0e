package cmdline

import (
	"bytes"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// An Obstacle is a program that stays between systemd and the daemon.
type Obstacle struct {
	Program string
	Shell   bool   // a shell whose line has no exec
	File    string // a script, "" for none
	Unread  bool   // the script cannot be read here
}

// A follower goes from one program to the next.
type follower struct {
	root string // of the files
	left int    // the steps that remain: a script may execute itself
}

// Follow returns the program that argv executes in the end, and the program that stays between
// systemd and it, nil if none is known. It reads scripts below root.
func Follow(root string, argv []string) (last []string, stays *Obstacle) {
	return (&follower{root, 16}).follow(argv)
}

func (f *follower) follow(argv []string) (last []string, stays *Obstacle) {
	for ; f.left > 0; f.left-- {
		if len(argv) == 0 {
			return nil, nil
		}
		name := path.Base(argv[0])
		if name == "busybox" && len(argv) > 1 {
			argv = argv[1:]
			continue
		}
		if slices.Contains(shells, name) {
			f.left--
			return f.followShell(argv)
		}
		if slices.Contains(waiters, name) {
			return nil, &Obstacle{Program: name}
		}
		next, executes, known := unwrap(name, argv[1:])
		if !known {
			f.left--
			return f.followFile(argv)
		}
		if !executes {
			return nil, &Obstacle{Program: name}
		}
		argv = next
	}
	return nil, nil
}

// followFile is follow for a program that is perhaps a shell's script.
func (f *follower) followFile(argv []string) (last []string, stays *Obstacle) {
	text, ok := f.read(argv[0])
	if !ok {
		if strings.HasSuffix(argv[0], ".sh") {
			return nil, &Obstacle{Program: path.Base(argv[0]), Shell: true, File: argv[0], Unread: true}
		}
		return argv, nil
	}
	line, _, _ := strings.Cut(text, "\n")
	interpreter, isScript := strings.CutPrefix(line, "#!")
	words := strings.Fields(interpreter)
	if len(words) > 1 && path.Base(words[0]) == "env" {
		words = words[1:]
	}
	if !isScript || len(words) == 0 || !slices.Contains(shells, path.Base(words[0])) {
		return argv, nil
	}
	return f.followScriptFile(path.Base(words[0]), argv[0], argv[1:])
}

// arguments goes on with the program in the arguments of a script that executes "$@".
func (f *follower) arguments(last []string, stays *Obstacle, args []string) ([]string, *Obstacle) {
	switch {
	case len(last) > 0 && last[0] == "$@" && len(args) > 1:
		return f.follow(args[1:])
	case len(last) > 0 && last[0] == "$0" && len(args) > 0 && stays == nil:
		return f.follow(args)
	}
	return last, stays
}

// read returns the text of a script, which binary files are not. False means that there
// is no such file on this machine.
func (f *follower) read(name string) (text string, ok bool) {
	if !path.IsAbs(name) {
		return "", false
	}
	file, err := os.Open(filepath.Join(f.root, name))
	if err != nil {
		return "", false
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", false
	}
	head := make([]byte, 64<<10)
	n, _ := io.ReadFull(file, head) // a shorter file is whole
	if head = head[:n]; bytes.IndexByte(head, 0) >= 0 {
		return "", true
	}
	return string(head), true
}

// Text returns the line or the file that a shell reads, "" for another program. Files are
// below root.
func (c Command) Text(root string) string {
	if line, _, ok := c.script(); ok {
		return line
	}
	for _, name := range c.Argv {
		if text, _ := (&follower{root: root}).read(name); strings.HasPrefix(text, "#!") {
			return text
		}
	}
	return ""
}
