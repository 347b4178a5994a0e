package unitfile

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ErrQuotes means that a quote is open at the end of a value. systemd ignores such a line, and
// refuses the unit for a command.
var ErrQuotes = errors.New("unbalanced quotes")

// Words splits a value at the blanks outside of quotes. It removes quotes, and replaces the
// escapes of C and \s, also between quotes. A backslash before another character stays.
//
// With ErrQuotes the last word goes on to the end of the text.
func Words(text string) (words []string, err error) {
	words, open := split(text, blanks, func(text string, _ byte) (string, int) { return unescape(text) })
	if open {
		err = ErrQuotes
	}
	return words, err
}

// ShellWords splits text that is quoted as for a shell, such as the lists in the output of
// systemctl show. A backslash stands for the next character, except between single quotes. An
// open quote ends at the end of the text.
func ShellWords(text string) []string {
	words, _ := split(text, " \t", func(text string, quote byte) (string, int) {
		if quote == '\'' {
			return `\`, 0
		}
		_, n := utf8.DecodeRuneInString(text)
		return text[:n], n
	})
	return words
}

// split splits text at separators outside of quotes. decode returns the meaning of a backslash,
// by the text that follows it and the quote around it, and the length of its part of that text.
func split(text, separators string, decode func(text string, quote byte) (string, int)) (words []string, open bool) {
	var word strings.Builder
	var quote byte
	inWord := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			inWord = true
			decoded, n := decode(text[i+1:], quote)
			word.WriteString(decoded)
			i += n
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			inWord, quote = true, c
		case quote == 0 && strings.IndexByte(separators, c) >= 0:
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			inWord = true
			word.WriteByte(c)
		}
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, quote != 0
}

// simpleEscapes are the escapes of one character, and their meaning in the same place.
const simpleEscapes, theirMeaning = `abfnrtv\"'s`, "\a\b\f\n\r\t\v\\\"' "

// unescape decodes the escape whose text follows a backslash, and returns the number of bytes
// of that text. The backslash stays if no escape follows.
func unescape(text string) (decoded string, n int) {
	if text == "" {
		return `\`, 0
	}
	if i := strings.IndexByte(simpleEscapes, text[0]); i >= 0 {
		return theirMeaning[i : i+1], 1
	}
	lead, length, base, size := 1, 0, 16, 8 // lead is the length of x, u or U
	switch c := text[0]; {
	case c == 'x':
		length = 3
	case c == 'u':
		length, size = 5, 32
	case c == 'U':
		length, size = 9, 32
	case '0' <= c && c <= '7':
		lead, length, base = 0, 3, 8
	}
	_, first := utf8.DecodeRuneInString(text)
	if length == 0 || len(text) < length {
		return `\` + text[:first], first
	}
	code, err := strconv.ParseUint(text[lead:length], base, size)
	switch {
	case err != nil || code == 0 || size == 32 && !utf8.ValidRune(rune(code)):
		return `\` + text[:first], first
	case size == 32:
		return string(rune(code)), length
	}
	return string([]byte{byte(code)}), length
}

// Commands splits the value of a setting such as ExecReload= at each ; that stands alone:
// systemd executes the commands one after the other. Quotes and escapes stay.
func Commands(value string) (lines []string) {
	var line []string
	for _, word := range append(RawWords(value), ";") {
		if word != ";" {
			line = append(line, word)
		} else if len(line) > 0 {
			lines, line = append(lines, strings.Join(line, " ")), nil
		}
	}
	return lines
}

// Arguments is Words for one command, in which \; without quotes is a ; that ends nothing.
func Arguments(command string) ([]string, error) {
	words, err := Words(command)
	for i, raw := range RawWords(command) {
		if raw == `\;` {
			words[i] = ";"
		}
	}
	return words, err
}

// RawWords splits a value at the blanks outside of quotes. Quotes and escapes stay in the words.
func RawWords(value string) (words []string) {
	var quote byte
	begin := 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && strings.IndexByte(blanks, c) >= 0:
			words = append(words, value[begin:i])
			begin = i + 1
		}
	}
	words = append(words, value[begin:])
	return slices.DeleteFunc(words, func(word string) bool { return word == "" })
}
