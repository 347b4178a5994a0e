package cmdline

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// A Step is one program of a command line. A line that no shell reads has one step.
type Step struct {
	before string // the operator before it: "", ";", "&&", "||" or "|"
	Words  []string
	after  string // the operator after it, "&" included
}

// Program returns the base name of the program that the step runs in the end, "" for an
// assignment alone.
func (s Step) Program() string {
	if words := s.Core(); len(words) > 0 {
		return path.Base(words[0])
	}
	return ""
}

// script returns the line that a shell reads, and whether a failing step ends it.
func (c Command) script() (line string, errexit, ok bool) {
	if !IsShell(c.Binary()) {
		return "", false, false
	}
	args := c.Argv[1:]
	if path.Base(c.Binary()) == "busybox" && len(args) > 0 {
		args = args[1:]
	}
	for len(args) > 1 && isShellOption(args[0]) {
		arg, rest := args[0], afterOption(args)
		short := !strings.HasPrefix(arg, "--")
		errexit = errexit || short && strings.Contains(arg, "e") || arg == "-o" && args[1] == "errexit"
		if short && strings.Contains(arg, "c") && arg[0] == '-' {
			for len(rest) > 0 && isShellOption(rest[0]) { // -c -e
				errexit = errexit || strings.Contains(rest[0], "e")
				rest = afterOption(rest)
			}
			if len(rest) == 0 {
				return "", errexit, false
			}
			return rest[0], errexit, true
		}
		args = rest
	}
	return "", false, false // a file
}

// isShellOption reports whether a shell takes word for options, such as -e or +O.
func isShellOption(word string) bool { return len(word) > 1 && (word[0] == '-' || word[0] == '+') }

// afterOption returns the arguments of a shell after the options in the first one, which have
// a value in -o pipefail, -euo pipefail, -O extglob and --rcfile FILE.
func afterOption(args []string) []string {
	arg := args[0]
	value := arg == "--rcfile" || arg == "--init-file" || !strings.HasPrefix(arg, "--") && strings.HasSuffix(strings.ToLower(arg), "o")
	if value {
		return drop(args, 2)
	}
	return args[1:]
}

// Steps splits a command into its steps. For a line with a construct such as if or a function
// it returns none, because the result is not known.
func (c Command) Steps() (all []Step, errexit bool) {
	line, errexit, ok := c.script()
	if !ok {
		if len(c.Argv) == 0 {
			return nil, false
		}
		return []Step{{Words: c.Argv}}, false
	}
	before := ""
	for _, part := range splitScript(line) {
		words := unitfile.ShellWords(part.text)
		for len(words) > 0 && (words[0] == "exec" || words[0] == "command" || isAssignment(words[0])) {
			words = words[1:]
		}
		if len(words) > 0 && slices.Contains(constructs, words[0]) {
			return nil, false
		}
		if len(words) == 2 && words[0] == "set" && words[1] == "-e" {
			errexit = true
		}
		if len(words) > 0 {
			all = append(all, Step{before, words, part.operator})
			before = part.operator
		}
	}
	return all, errexit
}

var constructs = strings.Fields("if while until for case ! { ( function")

func isAssignment(word string) bool {
	name, _, ok := strings.Cut(word, "=")
	return ok && name != "" && !strings.ContainsAny(name, "/-$\"' ")
}

// A part is the text of one step and the operator that ends it.
type part struct{ text, operator string }

// splitScript splits a shell's line at the operators outside of quotes.
func splitScript(line string) (parts []part) {
	var quote byte
	begin := 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case strings.IndexByte(";&|\n", c) >= 0:
			operator := string(c)
			if i+1 < len(line) && line[i+1] == c && c != ';' && c != '\n' {
				operator += string(c)
			}
			if i > 0 && strings.IndexByte("<>", line[i-1]) >= 0 { // 2>&1
				continue
			}
			parts = append(parts, part{line[begin:i], strings.ReplaceAll(operator, "\n", ";")})
			i += len(operator) - 1
			begin = i + 1
		}
	}
	return append(parts, part{line[begin:], ""})
}

// IsShell reports whether the program called name runs the line after -c.
func IsShell(name string) bool { return slices.Contains(shells, path.Base(name)) }

var shells = []string{"sh", "bash", "dash", "ash", "busybox", "zsh", "ksh", "mksh", "fish"}

// simple returns the command in a part of a construct such as if or while.
func simple(words []string) []string {
	for len(words) > 0 && (isAssignment(words[0]) || slices.Contains(openers, words[0])) {
		words = words[1:]
	}
	return words
}

// openers are words of a shell before a command.
var openers = strings.Fields("if then elif else while until do { ( ! exec command builtin time")

// OnlyShell returns the first word of a command line that means something only to a shell, ""
// if there is none. A word with quotes or a backslash is meant as it is.
func OnlyShell(line string) string {
	for _, word := range unitfile.RawWords(strings.TrimLeft(line, execPrefixes)) {
		if !strings.ContainsAny(word, `'"\`) && shellOnly.MatchString(word) {
			return word
		}
	}
	return ""
}

var shellOnly = regexp.MustCompile("^(?:\\|\\|?|&&?|#|[0-9]*(?:>>?|<)(?:&[0-9-]|/.*)?|&>>?.*|.+;)$|(?:^|[^$])\\$\\(|`|\\$\\{\\w+:?[-+=?]")
