//go:build linux

package upgradetest

import (
	"fmt"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// A command is one line of ExecStart= and its relatives.
type command struct {
	path          string
	argv          []string // argv[0] is the path unless "@" said otherwise
	ignoreFailure bool     // "-"
	literal       bool     // ":", no $VARIABLES
}

// parseCommands reads the value of an Exec*= setting: one command, or several
// with " ; " between. Specifiers have been expanded.
func parseCommands(value string) ([]command, error) {
	var commands []command
	for _, line := range unitfile.Commands(value) {
		words, err := unitfile.Arguments(line)
		if err == nil {
			var c command
			c, err = newCommand(words)
			commands = append(commands, c)
		}
		if err != nil {
			return nil, fmt.Errorf("command %q: %w", line, err)
		}
	}
	return commands, nil
}

func newCommand(words []string) (command, error) {
	var c command
	path, separateName := words[0], false
	for path != "" && strings.ContainsRune("-@:+!|", rune(path[0])) {
		switch path[0] {
		case '-':
			c.ignoreFailure = true
		case '@':
			separateName = true
		case ':':
			c.literal = true
		} // the others are about privileges, of which there are none to drop
		path = path[1:]
	}
	if !strings.HasPrefix(path, "/") {
		return command{}, fmt.Errorf("%q is not an absolute path", path)
	}
	c.path, c.argv = path, append([]string{path}, words[1:]...)
	if separateName {
		if len(words) < 2 {
			return command{}, fmt.Errorf("%q wants a program name after the path", words[0])
		}
		c.argv = words[1:]
	}
	return c, nil
}

// expand returns the arguments with $VARIABLES replaced as systemd does it: ${X}
// within a word, $X alone as a word, which is split, and $$ for a dollar sign.
func (c command) expand(lookup func(string) string) []string {
	if c.literal {
		return c.argv
	}
	out := []string{c.argv[0]}
	for _, word := range c.argv[1:] {
		if name, ok := strings.CutPrefix(word, "$"); ok && isVariable(name) {
			out = append(out, strings.Fields(lookup(name))...)
			continue
		}
		out = append(out, expandBraces(word, lookup))
	}
	return out
}

func expandBraces(word string, lookup func(string) string) string {
	var b strings.Builder
	for word != "" {
		if rest, ok := strings.CutPrefix(word, "$$"); ok {
			b.WriteByte('$')
			word = rest
			continue
		}
		if rest, ok := strings.CutPrefix(word, "${"); ok {
			if name, after, ok := strings.Cut(rest, "}"); ok && isVariable(name) {
				b.WriteString(lookup(name))
				word = after
				continue
			}
		}
		b.WriteByte(word[0])
		word = word[1:]
	}
	return b.String()
}

func isVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
