// Command cutover-reload asks the main process of a unit to upgrade, waits, and exits with
// the result:
//
//	[Service]
//	ExecReload=+/usr/bin/cutover-reload
//
// It takes the place of a `myapp reload` command in a program that cannot have one, for
// example because another package parses its arguments. It starts in a fraction of the time
// of a server. It is not part of a deployment, so a broken server cannot break it.
//
// With the prefix + systemd runs it as root and builds no sandbox for it, which takes longer
// than the upgrade. This is safe if only root can replace the command and its environment:
// cutover-reload reads no file, changes none, executes nothing, sends the word "upgrade" to
// the main process and prints the answer. SECURITY.md lists the attacks of a compromised
// service and the defences.
//
// cutover-reload has no options. It needs $MAINPID, which systemd sets for ExecReload=. Its
// exit status is 0 if the new program serves, 1 if the old one does, and 2 for wrong usage.
// It waits as long as the upgrade takes: TimeoutStartSec= of the unit ends it.
package main

import (
	"context"
	"os"
	"strings"

	"github.com/cutover-go/cutover/internal/ask"
)

func main() {
	if len(os.Args) > 1 {
		complain("usage: cutover-reload, without arguments, as ExecReload= of a unit")
		os.Exit(2)
	}
	if why := reload(); why != "" {
		complain(why)
		os.Exit(1)
	}
}

// reload returns the reason for a failure.
func reload() string {
	// Without the pid any process could be the one that listens.
	if pid, ok := os.LookupEnv("MAINPID"); !ok || pid == "" {
		return "MAINPID is not set: run this command as ExecReload= of the unit (systemctl reload)"
	}
	a, err := ask.Service(context.Background(), os.LookupEnv, ask.Request{Verb: ask.Upgrade})
	if err != nil {
		return err.Error()
	}
	return a.Error
}

// complain writes text to standard error. Each line begins with the name of the command, so
// that no line of an answer looks like a message of another program, or has a priority for
// the journal (sd-daemon(3), "<0>").
func complain(text string) {
	for line := range strings.Lines(text) {
		_, _ = os.Stderr.WriteString("cutover-reload: " + strings.TrimSuffix(line, "\n") + "\n") // there is no other place to say so
	}
}
