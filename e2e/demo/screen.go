package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/cutover-go/cutover/e2e/internal/progress"
)

const (
	screenWidth = 80
	itemIndent  = 13
)

// A screen prints the story in plain lines, the same for a terminal and a file. On a
// terminal a bar follows them.
type screen struct {
	w    io.Writer
	gone func(error)   // called when the output is closed
	bar  *progress.Bar // nil where the output is no terminal

	mu     sync.Mutex
	inLine bool // a line has begun, so that there is no room for the bar
}

// show draws the bar.
func (s *screen) show(part float64, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inLine {
		s.bar.Show(part, text)
	}
}

func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.inLine {
		s.bar.Clear()
	}
	s.inLine = !strings.HasSuffix(text, "\n")
	if _, err := io.WriteString(s.w, text); err != nil {
		s.gone(err)
	}
}

func (s *screen) title(text string) { s.print("\n" + text + "\n\n") }

// item writes a named paragraph.
func (s *screen) item(name, text string) { s.print(item(name, text) + "\n") }

// begin writes an item whose last word is to be written by done.
func (s *screen) begin(name, text string) { s.print(item(name, text)) }

func (s *screen) done(text string) { s.print(" " + text + "\n") }

func item(name, text string) string {
	return fmt.Sprintf("  %-*s%s", itemIndent-2, name, wrap(text, itemIndent, screenWidth))
}

// wrap breaks text between words, so that lines that begin at indent stay within
// width, and indents all but the first.
func wrap(text string, indent, width int) string {
	var b strings.Builder
	at := indent
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case at+1+len(word) > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	return b.String()
}

// linesWith returns the lines of text that have part in them, or all if none has.
func linesWith(text, part string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			found = append(found, line)
		}
	}
	if found == nil {
		return text
	}
	return strings.Join(found, "")
}

func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
