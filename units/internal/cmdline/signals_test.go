package cmdline_test

import (
	"testing"

	"github.com/cutover-go/cutover/units/internal/cmdline"
)

func TestSignalsOfCommands(t *testing.T) {
	for line, want := range map[string]string{
		"/bin/kill $MAINPID":                       "TERM",
		"/bin/kill -9 $MAINPID":                    "KILL",
		"/bin/kill -SIGKILL $MAINPID":              "KILL",
		"/bin/kill -s QUIT $MAINPID":               "QUIT",
		"/usr/bin/kill --signal HUP $MAINPID":      "HUP",
		"/usr/bin/pkill --signal=sigusr1 app":      "USR1",
		"/usr/bin/killall -s 12 app":               "USR2",
		"/usr/bin/pkill -f app":                    "TERM",
		"/bin/systemctl kill -s HUP app":           "HUP",
		"/bin/busybox kill -INT $MAINPID":          "INT",
		"/bin/sh -c 'exec kill -ABRT $MAINPID'":    "ABRT",
		"/bin/sh -ec \"true && kill -s 3 $X\"":     "QUIT",
		"/usr/bin/app reload":                      "",
		"/bin/sh -c 'echo kill -9'":                "",
		"/bin/sh -c 'while true; do kill -9; done": "",
	} {
		steps, _ := cmdline.Parse(line).Steps()
		got := ""
		for _, s := range steps {
			if signal, sends := s.Signal(); sends {
				got = signal
			}
		}
		if got != want {
			t.Errorf("%s sends %q, want %q", line, got, want)
		}
	}
}
