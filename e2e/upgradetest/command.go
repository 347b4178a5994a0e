//go:build linux

package upgradetest

import (
	"fmt"
	"strings"
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
	words, err := splitWords(value)
	if err != nil {
		return nil, err
	}
	var commands []command
	for len(words) > 0 {
		n := 0
		for n < len(words) && words[n] != ";" {
			n++
		}
		c, err := newCommand(words[:n])
		if err != nil {
			return nil, fmt.Errorf("command %q: %w", value, err)
		}
		commands = append(commands, c)
		words = words[min(n+1, len(words)):]
	}
	return commands, nil
}

func newCommand(words []string) (command, error) {
	if len(words) == 0 {
		return command{}, fmt.Errorf("it is empty")
	}
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
	for i, w := range c.argv {
		if w == `\;` {
			c.argv[i] = ";"
		}
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

// splitWords splits at blanks, with quotes and backslashes as in systemd.syntax(7).
func splitWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, byte(0)
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && i+1 < len(text):
			i++
			word.WriteString(unescape(text[i]))
			inWord = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("unbalanced quoting in %q", text)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

func unescape(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case 's':
		return " "
	case '\\', '"', '\'', ' ':
		return string(c)
	}
	return `\` + string(c)
}

// specifiers returns a replacer for the %-specifiers that a unit of this name has.
func specifiers(name, runtimeRoot string) *strings.Replacer {
	whole := name[:strings.LastIndexByte(name, '.')]
	prefix, instance, _ := strings.Cut(whole, "@")
	return strings.NewReplacer("%%", "%", "%n", name, "%N", whole, "%p", prefix, "%i", instance, "%t", runtimeRoot)
}
