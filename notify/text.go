package notify

import (
	"unicode"
	"unicode/utf8"
)

// appendFolded appends text as one line of at most room bytes: runs of line
// breaks become "; ", other control characters become a space, and bytes that systemd
// does not take for UTF-8 become the replacement character. A text that is cut ends
// in "...".
func appendFolded(buf []byte, text string, room int) []byte {
	const cut = "..."
	start, fits := len(buf), len(buf)
	separate := false // a line break waits for text that follows it
	for _, r := range text {
		if r == '\n' || r == '\r' {
			separate = len(buf) > start
			continue
		}
		if separate {
			buf = append(buf, "; "...)
			separate = false
		}
		buf = utf8.AppendRune(buf, printable(r))
		if len(buf)-start > room {
			return append(buf[:fits], cut[:min(len(cut), room)]...)
		}
		if len(buf)-start+len(cut) <= room {
			fits = len(buf)
		}
	}
	return buf
}

// printable returns r, or what stands for it in a line that a terminal shows.
func printable(r rune) rune {
	switch {
	case unicode.IsControl(r):
		return ' '
	case r >= 0xFDD0 && r <= 0xFDEF, r&0xFFFE == 0xFFFE:
		// Valid UTF-8, but systemd's unichar_is_valid refuses noncharacters, and
		// with one the whole status.
		return unicode.ReplacementChar
	}
	return r
}
