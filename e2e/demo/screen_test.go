package main

import (
	"errors"
	"testing"
)

func TestWrapBreaksBetweenWords(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", ""},
		{"one two", "one two"},
		{"one two three", "one two\n  three"},
		{" one\n\ttwo ", "one two"},
		{"incomprehensible is long", "incomprehensible\n  is long"},
	} {
		if got := wrap(tt.text, 2, 10); got != tt.want {
			t.Errorf("wrap(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestLinesWithFallsBackToAll(t *testing.T) {
	text := "v3: no\nsystemd says so\nv3: really\n"
	if got, want := linesWith(text, "v3:"), "v3: no\nv3: really\n"; got != want {
		t.Errorf("linesWith = %q, want %q", got, want)
	}
	if got := linesWith(text, "v4:"); got != text {
		t.Errorf("linesWith without a match = %q, want all", got)
	}
}

func TestLastLines(t *testing.T) {
	for n, want := range map[int]string{0: "", 1: "c", 2: "b\nc", 9: "a\nb\nc"} {
		if got := lastLines("a\nb\nc", n); got != want {
			t.Errorf("lastLines(%d) = %q, want %q", n, got, want)
		}
	}
}

type closedPipe struct{ err error }

func (p closedPipe) Write([]byte) (int, error) { return 0, p.err }

func TestScreenSaysThatItsReaderHasGone(t *testing.T) {
	var got error
	want := errors.New("broken pipe")
	s := &screen{w: closedPipe{want}, gone: func(err error) { got = err }}
	s.item("load", "much")
	if got != want {
		t.Errorf("gone was called with %v, want %v", got, want)
	}
}
