package cmdline

import (
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// Which program a shell becomes: the one after exec. Tried on Debian 11 to 13: bash also
// executes the last simple command of -c in its own process, dash (0.5.11, 0.5.12) does
// not, and no shell does so with the last command of a file.

// followShell is follow for a shell and its arguments.
func (f *follower) followShell(argv []string) (last []string, stays *Obstacle) {
	name := path.Base(argv[0])
	if line, _, ok := (Command{Argv: argv}).script(); ok {
		last, stays = f.followScript(name, line, f.executesLast(argv[0]))
		return f.arguments(last, stays, argv[slices.Index(argv, line)+1:])
	}
	for args := argv[1:]; len(args) > 0; args = afterOption(args) {
		if !isShellOption(args[0]) {
			return f.followScriptFile(name, args[0], args[1:])
		}
	}
	return nil, &Obstacle{Program: name, Shell: true}
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

// followScriptFile is follow for a file that shell reads.
func (f *follower) followScriptFile(shell, name string, args []string) (last []string, stays *Obstacle) {
	text, ok := f.read(name)
	if !ok {
		return nil, &Obstacle{Program: shell, Shell: true, File: name, Unread: true}
	}
	last, stays = f.followScript(shell, text, false)
	if stays != nil && stays.Shell && stays.File == "" {
		stays.File = name
	}
	return f.arguments(last, stays, append([]string{name}, args...))
}

// followScript looks for the command by which shell is replaced.
func (f *follower) followScript(shell, text string, executesLast bool) (last []string, stays *Obstacle) {
	parts := slices.DeleteFunc(splitScript(commandLines(text)), func(p part) bool { return strings.TrimSpace(p.text) == "" && p.operator != "|" })
	before, branches := "", 0
	for _, p := range parts {
		alone := before != "|" && p.operator != "|" && p.operator != "&"
		before = p.operator
		if program := executed(unitfile.ShellWords(p.text)); alone && len(program) > 0 {
			branches++
			if last, stays = f.follow(program); stays == nil {
				return last, nil // of several branches one is right
			}
		}
	}
	if branches > 0 {
		return last, stays
	}
	if executesLast && !strings.Contains(text, "trap ") {
		if words := lastCommand(parts); len(words) > 0 && !definesFunction(text, words[0]) {
			return f.follow(words)
		}
	}
	return nil, &Obstacle{Program: shell, Shell: true}
}

// commandLines returns the lines of a script without comments and here documents.
func commandLines(text string) string {
	var lines strings.Builder
	end := "" // of the here document
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		trimmed := strings.TrimSpace(line)
		switch {
		case end != "":
			if trimmed == end {
				end = ""
			}
			continue
		case strings.HasPrefix(trimmed, "#"):
			continue
		}
		if m := hereDocument.FindStringSubmatch(trimmed); m != nil {
			end = m[1]
		}
		lines.WriteString(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r") + "\n")
	}
	return lines.String()
}

var hereDocument = regexp.MustCompile(`(?:^|[^<])<<-?[ \t]*["'\\]?([A-Za-z_][A-Za-z0-9_]*)`)

// lastCommand returns the command that a shell such as bash executes in its own process:
// the last one, if it is simple and has no redirection.
func lastCommand(parts []part) []string {
	n := len(parts)
	if n == 0 || parts[n-1].operator == "&" || n > 1 && parts[n-2].operator == "|" {
		return nil
	}
	words := unitfile.ShellWords(parts[n-1].text)
	for len(words) > 0 && isAssignment(words[0]) {
		words = words[1:]
	}
	ends := slices.Concat(constructs, silent, strings.Fields("fi done esac } ) wait return kill"))
	if len(words) == 0 || slices.Contains(ends, words[0]) || strings.ContainsAny(words[0], "({") || slices.ContainsFunc(words, isRedirection) {
		return nil
	}
	return words
}

// definesFunction reports whether a shell's text has a function called name.
func definesFunction(text, name string) bool {
	return regexp.MustCompile(`(?:^|[\s;])(?:function\s+` + regexp.QuoteMeta(name) + `\b|` + regexp.QuoteMeta(name) + `\s*\(\s*\))`).MatchString(text)
}

// executed returns the program after exec, nil if there is none: exec with nothing but
// redirections changes the shell's own descriptors.
func executed(words []string) []string {
	words = beforeExec(words)
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

// beforeExec takes away the words of a shell that may stand before exec.
func beforeExec(words []string) []string {
	for len(words) > 0 {
		switch in := slices.Index(words, "in"); {
		case words[0] == "case" && in > 0: // case X in A) exec
			words = words[in+1:]
		case words[0] == "eval":
			words = unitfile.ShellWords(strings.Join(words[1:], " "))
		case isAssignment(words[0]) || slices.Contains(strings.Fields("then else do { command builtin"), words[0]):
			words = words[1:]
		case strings.HasSuffix(words[0], ")") && !strings.Contains(words[0], "("): // a pattern of case
			words = words[1:]
		default:
			return words
		}
	}
	return nil
}

// Renamed returns the argv[0] that exec -a gives a program in a shell's text, and the program.
func Renamed(text string) (name, program string, ok bool) {
	for _, p := range splitScript(commandLines(text)) {
		words := beforeExec(unitfile.ShellWords(p.text))
		i := slices.Index(words, "-a")
		if last := executed(words); i > 0 && i+1 < len(words) && words[0] == "exec" && len(last) > 0 && slices.Index(words, last[0]) > i {
			return words[i+1], last[0], true
		}
	}
	return "", "", false
}

// isRedirection reports whether a shell's word is one such as 2>&1.
func isRedirection(word string) bool {
	rest := strings.TrimLeft(word, "0123456789&")
	return strings.HasPrefix(rest, "<") || strings.HasPrefix(rest, ">")
}

// RedirectsTo returns the file to which a shell's text sends the output of the program that
// it executes, "" if there is none.
func RedirectsTo(text string) string {
	for _, p := range splitScript(text) {
		words := unitfile.ShellWords(p.text)
		for i, word := range words {
			_, file, _ := strings.Cut(word, ">")
			file = strings.TrimLeft(file, ">|")
			if file == "" && strings.HasSuffix(word, ">") && i+1 < len(words) {
				file = words[i+1]
			}
			if slices.Contains(words[:i], "exec") && isRedirection(word) && path.IsAbs(file) && !strings.HasPrefix(file, "/dev/") && !strings.HasPrefix(file, "/proc/") {
				return file
			}
		}
	}
	return ""
}
