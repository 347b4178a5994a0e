package ask

import (
	"strconv"
	"strings"
)

// printable returns text with each character that is not printable as a Go escape. A
// terminal obeys control characters, and some format characters change the order of a line.
// Line breaks stay.
func printable(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || strconv.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
