package reexec

import (
	"errors"
	"strings"

	"github.com/cutover-go/cutover/internal/ask"
)

// coded are the errors that Reload returns in the process of the command, by their codes in
// the answer of the main process. The two may have different versions of this package, so a
// code never changes its meaning.
var coded = []struct {
	code string
	err  error
}{
	{"not-ready", ErrNotReady}, {"busy", ErrBusy}, {"draining", ErrDraining}, {"replaced", ErrReplaced}, {"stopped", ErrStopped},
}

// failure returns the answer to a reload command whose upgrade ended with err.
func failure(err error) ask.Answer {
	a := ask.Answer{Error: err.Error()}
	for _, c := range coded {
		if errors.Is(err, c.err) {
			a.Code = c.code
		}
	}
	var undone *UpgradeError
	if errors.As(err, &undone) {
		a.Phase, a.Successor = undone.Phase, undone.PID
	}
	return a
}

// errorOf returns the error of which failure has made a: one with the same text that wraps
// the same errors of this package. An older program sends the text alone.
func errorOf(a ask.Answer) error {
	var cause error
	for _, c := range coded {
		if a.Code == c.code {
			cause = c.err
		}
	}
	if a.Phase == "" {
		return answered{a.Error, cause}
	}
	undone := &UpgradeError{Phase: a.Phase, PID: a.Successor, Err: answered{"", cause}}
	if reason, ok := strings.CutPrefix(a.Error, undone.Error()); ok {
		undone.Err = answered{reason, cause}
		return undone
	}
	return answered{a.Error, undone} // the main process says more, or in other words
}

// An answered is an error of the main process in the process of a command.
type answered struct {
	text  string
	cause error // error of this package, or nil
}

func (e answered) Error() string { return e.text }
func (e answered) Unwrap() error { return e.cause }
