// Package progress shows how far a long program is, on a terminal.
package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
)

const width = 30

// A Bar is a line that is drawn again and again. A nil Bar does nothing.
type Bar struct{ w io.Writer }

// On returns a Bar on w, nil if w is no terminal.
func On(w io.Writer) *Bar {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return &Bar{w}
}

// Show draws the part that is done, from 0 to 1, with a text behind it.
func (b *Bar) Show(part float64, text string) {
	if b == nil {
		return
	}
	done := int(min(max(part, 0), 1) * width)
	_, _ = fmt.Fprintf(b.w, "\r[%s%s] %3.0f %%  %s\x1b[K", strings.Repeat("#", done), strings.Repeat("-", width-done),
		100*part, text) // a terminal that is gone needs no bar
}

// Clear removes the line, so that other text can take its place.
func (b *Bar) Clear() {
	if b != nil {
		_, _ = io.WriteString(b.w, "\r\x1b[K")
	}
}
