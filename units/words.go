package units

import (
	"strings"

	"github.com/cutover-go/cutover/internal/unitfile"
)

// A command is one ExecStart= or the like, taken apart.
type command struct {
	prefix string   // of the characters in execPrefixes
	argv   []string // without prefix, unquoted; nil for an empty value
}

// execPrefixes are those of systemd.service(5), "Special executable prefixes".
const execPrefixes = "@-:+!|"

func parseCommand(value string) command {
	plain := strings.TrimLeft(value, execPrefixes)
	return command{prefix: value[:len(value)-len(plain)], argv: arguments(plain)}
}

// name returns the argv[0] that the prefix @ gives the program. Beside | (258) the prefix @
// asks for a login shell.
func (c command) name() (string, bool) {
	if !strings.Contains(c.prefix, "@") || strings.Contains(c.prefix, "|") || len(c.argv) < 2 {
		return "", false
	}
	return c.argv[1], true
}

// binary is the path of the program, "" if there is none.
func (c command) binary() string {
	if len(c.argv) == 0 {
		return ""
	}
	return c.argv[0]
}

// commandLine writes a program and its arguments so that systemd takes each
// literally: no word splitting, no specifiers, no variables.
func commandLine(argv ...string) string {
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

// wordsOf returns the words of a value. A quote that is open ends at the end of the value.
func wordsOf(value string) []string {
	words, _ := unitfile.Words(value)
	return words
}

// shellWords splits text that is quoted as for a shell, such as the lists in the output of
// systemctl show. It knows the C escapes that stand for the next character.
func shellWords(line string) (words []string) {
	var word strings.Builder
	var quote rune
	var inWord, escaped bool
	for _, r := range line {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			inWord, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			inWord, quote = true, r
		case quote == 0 && (r == ' ' || r == '\t'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			inWord = true
			word.WriteRune(r)
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words
}
