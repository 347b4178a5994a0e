package reexec_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cutover-go/cutover/reexec"
)

func TestOptionsThatMakeNoSenseAreNamed(t *testing.T) {
	tests := []struct {
		field string
		o     reexec.Options
	}{
		{"ReadyTimeout", reexec.Options{ReadyTimeout: -1}},
		{"Trial", reexec.Options{Trial: -1}},
		{"Drain", reexec.Options{Drain: -1}},
		{"StopDrain", reexec.Options{StopDrain: -1}},
		{"StopDrain", reexec.Options{StopDrain: 30*time.Second + 1}},
		{"MaxDraining", reexec.Options{MaxDraining: -1}},
		{"RestartSignal", reexec.Options{RestartSignal: syscall.SIGQUIT, NoSignals: true}},
		{"Mode", reexec.Options{Mode: "inplace"}},
	}
	for _, tt := range tests {
		u, err := reexec.New(tt.o)
		if err == nil {
			t.Errorf("%s: no error", tt.field)
			_ = u.Close()
		} else if !strings.HasPrefix(err.Error(), "reexec: Options."+tt.field) {
			t.Errorf("%s: %v", tt.field, err)
		}
	}
}
