package excerpt_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cutover-go/cutover/internal/excerpt"
)

func TestAShortTextIsUnchanged(t *testing.T) {
	for _, text := range []string{"", "no configuration", strings.Repeat("x", 100)} {
		if got := excerpt.Of(text, 100); got != text {
			t.Errorf("Of(%q) = %q", text, got)
		}
	}
}

func TestALongTextKeepsItsBeginningAndSaysItsLength(t *testing.T) {
	for _, text := range []string{strings.Repeat("x", 101), strings.Repeat("äö", 5000), strings.Repeat("\xff", 300)} {
		got := excerpt.Of(text, 100)
		begin, mark, ok := strings.Cut(got, " ... (cut, ")
		if !ok || len(got) > 100 || len(got) < 90 || !strings.HasPrefix(text, begin) || !strings.HasSuffix(mark, " bytes)") {
			t.Errorf("Of(%d bytes) = %q of %d bytes, want a beginning and the length in 90 to 100", len(text), got, len(got))
		}
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("Of cuts a character in two: %q", got)
		}
	}
}
