package cmdline

import (
	"slices"
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// A Command is one ExecStart= or the like, taken apart.
type Command struct {
	Prefix string   // of the characters @-:+!|
	Argv   []string // without prefix, unquoted; nil for an empty value
}

// execPrefixes are those of systemd.service(5), "Special executable prefixes".
const execPrefixes = "@-:+!|"

// Parse takes the value of a setting such as ExecStart= apart. An open quote ends at the end of
// the value.
func Parse(value string) Command {
	plain := strings.TrimLeft(value, execPrefixes)
	return Command{Prefix: value[:len(value)-len(plain)], Argv: arguments(plain)}
}

// Name returns the argv[0] that the prefix @ gives the program. Beside | (258) the prefix @
// asks for a login shell.
func (c Command) Name() (string, bool) {
	if !strings.Contains(c.Prefix, "@") || strings.Contains(c.Prefix, "|") || len(c.Argv) < 2 {
		return "", false
	}
	return c.Argv[1], true
}

// Binary is the path of the program, "" if there is none.
func (c Command) Binary() string {
	if len(c.Argv) == 0 {
		return ""
	}
	return c.Argv[0]
}

// Quote writes a program and its arguments so that systemd takes each
// literally: no word splitting, no specifiers, no variables.
func Quote(argv ...string) string {
	quoted := make([]string, len(argv))
	for i, arg := range argv {
		quoted[i] = quoteWord(arg)
	}
	return strings.Join(quoted, " ")
}

func quoteWord(word string) string {
	word = strings.NewReplacer("%", "%%", "$", "$$", `\`, `\\`, `"`, `\"`).Replace(word)
	if word == "" || word == ";" || strings.ContainsAny(word, " \t'\"\\") {
		return `"` + word + `"`
	}
	return word
}

// arguments is the inverse of commandLine, and splits other command lines too. Specifiers and
// variables other than %% and $$ stay.
func arguments(line string) []string {
	words, _ := unitfile.Arguments(line) // an open quote ends at the end of the line
	unescape := strings.NewReplacer("%%", "%", "$$", "$")
	for i := range words {
		words[i] = unescape.Replace(words[i])
	}
	return words
}

// Words returns the words of a command line, and those in a line for a shell.
func (c Command) Words() (all []string) {
	all = slices.Clone(c.Argv)
	for _, word := range c.Argv {
		if strings.ContainsAny(word, " \t") {
			all = append(all, unitfile.ShellWords(word)...)
		}
	}
	return all
}
