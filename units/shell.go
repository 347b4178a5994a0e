package units

import (
	"path"
	"slices"
	"strings"
)

// A step is one program of a command line. A line that no shell reads has one step.
type step struct {
	before string // the operator before it: "", ";", "&&", "||" or "|"
	words  []string
	after  string // the operator after it, "&" included
}

// program returns the base name of the program that the step runs in the end, "" for an
// assignment alone.
func (s step) program() string {
	if words := s.core(); len(words) > 0 {
		return path.Base(words[0])
	}
	return ""
}

// script returns the line that a shell reads, and whether a failing step ends it.
func (c command) script() (line string, errexit, ok bool) {
	if !slices.Contains(shells, path.Base(c.binary())) {
		return "", false, false
	}
	args := c.argv[1:]
	if path.Base(c.binary()) == "busybox" && len(args) > 0 {
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

// steps splits a command into its steps. For a line with a construct such as if or a function
// it returns none, because the result is not known.
func (c command) steps() (all []step, errexit bool) {
	line, errexit, ok := c.script()
	if !ok {
		if len(c.argv) == 0 {
			return nil, false
		}
		return []step{{words: c.argv}}, false
	}
	before := ""
	for _, part := range splitScript(line) {
		words := shellWords(part.text)
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
			all = append(all, step{before, words, part.operator})
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

// hidesFailure reports whether the command ends with success though the step called failing,
// by its place, has failed.
func hidesFailure(all []step, failing int, errexit bool) bool {
	status, ran := 0, true
	for i, s := range all {
		switch s.before {
		case "&&":
			ran = status == 0
		case "||":
			ran = status != 0
		case "|":
			// It runs if the one before it did.
		default:
			ran = true
		}
		if !ran {
			continue
		}
		switch {
		case s.program() == "exit" && len(s.words) > 1 && s.words[1] == "0":
			return true
		case s.program() == "exit" && len(s.words) > 1 && s.words[1] != "$?":
			return false // another status, or a variable with one
		case s.program() == "exit":
			return status == 0
		case s.after == "&":
			status = 0
		case i == failing:
			status = 1
		case s.program() == "false":
			status = 1
		default:
			status = 0
		}
		if errexit && status != 0 && (s.after == ";" || s.after == "") {
			return false
		}
	}
	return status == 0
}

// signal returns the signal that a step sends, without SIG, and whether it sends one.
func (s step) signal() (name string, sends bool) {
	words := s.core()
	if !slices.Contains(senders, s.program()) && (s.program() != "systemctl" || !slices.Contains(words, "kill")) {
		return "", false
	}
	name = "TERM"
	for i, word := range words[1:] {
		value, long := strings.CutPrefix(word, "--signal=")
		switch {
		case long:
			name = value
		case (word == "-s" || word == "--signal" || word == "-n") && i+2 < len(words):
			name = words[i+2]
		case len(word) > 1 && word[0] == '-' && word[1] != '-' && isSignalName(word[1:]):
			name = word[1:]
		}
	}
	return signalName(name), true
}

func isSignalName(word string) bool {
	name := signalName(word)
	return slices.Contains(signalNames, name) || name == "0"
}

// signalNames are those of signal(7).
var signalNames = strings.Fields("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU " +
	"URG XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS")

// signalNumbers are those that people write for a name.
var signalNumbers = map[string]string{"1": "HUP", "2": "INT", "3": "QUIT", "4": "ILL", "5": "TRAP", "6": "ABRT", "7": "BUS", "8": "FPE", "9": "KILL",
	"10": "USR1", "11": "SEGV", "12": "USR2", "13": "PIPE", "14": "ALRM", "15": "TERM", "17": "CHLD", "18": "CONT", "19": "STOP", "28": "WINCH", "31": "SYS"}

// signalName gives the forms SIGKILL, KILL, kill and 9 one name.
func signalName(word string) string {
	if name := signalNumbers[word]; name != "" {
		return name
	}
	return strings.TrimPrefix(strings.ToUpper(word), "SIG")
}

// deadly are the signals that end a Go program at once, whatever it handles.
var deadly = strings.Fields("KILL QUIT ABRT SEGV BUS FPE ILL TRAP SYS")
