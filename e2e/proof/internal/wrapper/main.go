// Command wrapper stands at the path of a daemon's program and makes an upgrade to it
// fail, or slow. Package proof builds it and writes the file PATH.orders beside it:
//
//	{"do": "exit"}                                   ends at once
//	{"do": "hang"}                                   does nothing
//	{"do": "wait", "for": 2e9, "program": "/a/path"} executes the program two seconds later
//
// A command of the service, such as the one of ExecReload=, executes the program at once:
// systemd sets MAINPID for these commands, and not for the main process. It has the
// standard library only, because proof builds it as a module without requirements.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"time"
)

type orders struct {
	Do      string        `json:"do"`
	For     time.Duration `json:"for"`
	Program string        `json:"program"`
}

func main() {
	o, err := read()
	if err == nil {
		err = o.obey()
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func read() (o orders, err error) {
	path, err := os.Executable()
	if err != nil {
		return o, err
	}
	text, err := os.ReadFile(path + ".orders")
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(text, &o)
}

// obey returns only if this process is to end.
func (o orders) obey() error {
	if os.Getenv("MAINPID") == "" {
		switch o.Do {
		case "exit":
			return fmt.Errorf("this program is broken on purpose: it ends as soon as it has started")
		case "hang":
			fmt.Fprintln(os.Stderr, "this program is broken on purpose: it hangs before it does anything")
			for {
				time.Sleep(time.Hour)
			}
		}
		time.Sleep(o.For)
	}
	return fmt.Errorf("%s: %w", o.Program, syscall.Exec(o.Program, os.Args, os.Environ()))
}
