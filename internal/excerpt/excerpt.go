// Package excerpt shortens texts that have to fit into a message.
package excerpt

import (
	"fmt"
	"unicode/utf8"
)

// Of returns text if it has at most limit bytes. Otherwise it returns the beginning of
// text and a mark that says how long text was, together at most limit bytes. The cut is
// between two characters. A limit below 64 leaves no room for the mark.
func Of(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	mark := fmt.Sprintf(" ... (cut, %d bytes)", len(text))
	end := max(0, limit-len(mark))
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + mark
}
