package units

import (
	"bytes"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Which program a shell becomes: the one after exec. Tried on Debian 11 to 13: bash also
// executes the last simple command of -c in its own process, dash (0.5.11, 0.5.12) does
// not, and no shell does so with the last command of a file.

// followShell is follow for a shell and its arguments.
func (f *follower) followShell(argv []string) (last []string, stays *obstacle) {
	name := path.Base(argv[0])
	if line, _, ok := (command{argv: argv}).script(); ok {
		return f.followScript(name, line, f.executesLast(argv[0]))
	}
	for i, arg := range argv[1:] {
		if !strings.HasPrefix(arg, "-") {
			return f.followScriptFile(name, arg, argv[i+2:])
		}
	}
	return nil, &obstacle{program: name, shell: true}
}

// executesLast reports whether the shell at name executes the last command of -c in its
// own process.
func (f *follower) executesLast(name string) bool {
	base := path.Base(name)
	if base == "sh" {
		target, err := filepath.EvalSymlinks(filepath.Join(f.root, "/bin/sh"))
		if err != nil {
			return false
		}
		base = path.Base(target)
	}
	return slices.Contains([]string{"bash", "zsh", "ksh"}, base)
}

// followFile is follow for a program that is perhaps a shell's script.
func (f *follower) followFile(argv []string) (last []string, stays *obstacle) {
	text, ok := f.read(argv[0])
	if !ok {
		if strings.HasSuffix(argv[0], ".sh") {
			return nil, &obstacle{program: path.Base(argv[0]), shell: true, file: argv[0], unread: true}
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

// followScriptFile is follow for a file that shell reads.
func (f *follower) followScriptFile(shell, name string, args []string) (last []string, stays *obstacle) {
	text, ok := f.read(name)
	if !ok {
		return nil, &obstacle{program: shell, shell: true, file: name, unread: true}
	}
	last, stays = f.followScript(shell, text, false)
	if stays != nil && stays.shell && stays.file == "" {
		stays.file = name
	}
	if len(last) > 0 && last[0] == "$@" && len(args) > 0 {
		return f.follow(args)
	}
	return last, stays
}

// followScript looks for the command by which shell is replaced.
func (f *follower) followScript(shell, text string, executesLast bool) (last []string, stays *obstacle) {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			lines = append(lines, line)
		}
	}
	parts := slices.DeleteFunc(splitScript(strings.Join(lines, "")), func(p part) bool { return strings.TrimSpace(p.text) == "" && p.operator != "|" })
	before := ""
	for _, p := range parts {
		alone := before != "|" && p.operator != "|" && p.operator != "&"
		before = p.operator
		if program := executed(shellWords(p.text)); alone && len(program) > 0 {
			return f.follow(program)
		}
	}
	if executesLast && !strings.Contains(text, "trap ") {
		if words := lastCommand(parts); len(words) > 0 {
			return f.follow(words)
		}
	}
	return nil, &obstacle{program: shell, shell: true}
}

// lastCommand returns the command that a shell such as bash executes in its own process:
// the last one, if it is simple and has no redirection.
func lastCommand(parts []part) []string {
	n := len(parts)
	if n == 0 || parts[n-1].operator == "&" || n > 1 && parts[n-2].operator == "|" {
		return nil
	}
	words := shellWords(parts[n-1].text)
	for len(words) > 0 && isAssignment(words[0]) {
		words = words[1:]
	}
	ends := slices.Concat(constructs, strings.Fields("fi done esac } )"))
	if len(words) == 0 || slices.Contains(ends, words[0]) || strings.ContainsAny(words[0], "({") || slices.ContainsFunc(words, isRedirection) {
		return nil
	}
	return words
}

// executed returns the program after exec, nil if there is none: exec with nothing but
// redirections changes the shell's own descriptors.
func executed(words []string) []string {
	for len(words) > 0 && (isAssignment(words[0]) || slices.Contains(strings.Fields("then else do {"), words[0])) {
		words = words[1:]
	}
	if len(words) == 0 || words[0] != "exec" {
		return nil
	}
	var program []string
	for words = words[1:]; len(words) > 0; words = words[1:] {
		switch word := words[0]; {
		case len(program) == 0 && (word == "-c" || word == "-l" || word == "-cl" || word == "--"):
		case len(program) == 0 && word == "-a" && len(words) > 1:
			words = words[1:]
		case isRedirection(word):
			if strings.HasSuffix(word, "<") || strings.HasSuffix(word, ">") { // the file is the next word
				words = words[min(1, len(words)-1):]
			}
		default:
			program = append(program, word)
		}
	}
	return program
}

// isRedirection reports whether a shell's word is one such as 2>&1.
func isRedirection(word string) bool {
	rest := strings.TrimLeft(word, "0123456789&")
	return strings.HasPrefix(rest, "<") || strings.HasPrefix(rest, ">")
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
