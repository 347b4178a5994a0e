package unitfile_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/cutover-go/cutover/internal/unitfile"
)

func TestWordsHaveQuotesAndEscapesOfSystemd(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                     nil,
		" a  b\tc ":                            {"a", "b", "c"},
		`"a b" 'c d'`:                          {"a b", "c d"},
		`a"b c"d`:                              {"ab cd"},
		`"" ''`:                                {"", ""},
		`"it's" '"'`:                           {"it's", `"`},
		`a\tb \\ \" \' \s`:                     {"a\tb", `\`, `"`, "'", " "},
		`'a\nb' "a\nb"`:                        {"a\nb", "a\nb"}, // also between single quotes
		`\x41 \101 \u00e4 \U0001f600`:          {"A", "A", "ä", "😀"},
		`\xff`:                                 {"\xff"},
		`\d \ b`:                               {`\d`, `\ b`}, // no escapes: the backslash stays
		`\xx4 \x4 \x00 \000 \400 \ud800 \8 \ü`: {`\xx4`, `\x4`, `\x00`, `\000`, `\400`, `\ud800`, `\8`, `\ü`},
		`a \; b`:                               {"a", `\;`, "b"},
		`a\`:                                   {`a\`},
		`A=%n $B ${C} $$`:                      {"A=%n", "$B", "${C}", "$$"},
	} {
		if got, err := unitfile.Words(text); !slices.Equal(got, want) || err != nil {
			t.Errorf("Words(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}

func TestOpenQuoteIsAnError(t *testing.T) {
	for text, want := range map[string][]string{`a "b c`: {"a", "b c"}, `a 'b" c`: {"a", `b" c`}, `"`: {""}, `"a\`: {`a\`}} {
		if got, err := unitfile.Words(text); !slices.Equal(got, want) || !errors.Is(err, unitfile.ErrQuotes) {
			t.Errorf("Words(%q) = %q, %v, want %q and ErrQuotes", text, got, err, want)
		}
	}
}

func TestShellWordsHaveQuotesOfAShell(t *testing.T) {
	for text, want := range map[string][]string{
		`a\nb 'a\nb' "a\"b"`:    {"anb", `a\nb`, `a"b`},
		`A="1 2"\ 3 "" 'open d`: {"A=1 2 3", "", "open d"},
		`\ä \`:                  {"ä", ""},
		"a\tb\nc":               {"a", "b\nc"},
	} {
		if got := unitfile.ShellWords(text); !slices.Equal(got, want) {
			t.Errorf("ShellWords(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestLineIsSplitIntoCommands(t *testing.T) {
	for value, want := range map[string][]string{
		"/a b ; /c ; ; /d": {"/a b", "/c", "/d"},
		"/a b; /c":         {"/a b; /c"},
		`/a \; b ";" ';'`:  {`/a \; b ";" ';'`},
		`/a "b ; c" ; /d`:  {`/a "b ; c"`, "/d"},
		";":                nil,
	} {
		if got := unitfile.Commands(value); !slices.Equal(got, want) {
			t.Errorf("Commands(%q) = %q, want %q", value, got, want)
		}
	}
	want := []string{"/a", ";", ";", "b c", `\;`, `\;`, `a\;`}
	if got, err := unitfile.Arguments(`/a \; ";" 'b c' \\; '\;' a\;`); !slices.Equal(got, want) || err != nil {
		t.Errorf("Arguments = %q, %v, want %q", got, err, want)
	}
}
