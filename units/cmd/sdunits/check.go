package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"syscall"

	"github.com/cutover-go/cutover/units"
)

const checkText = `Usage: sdunits check [options] UNIT...

A UNIT is a directory of unit files, a file, or the name of a unit that is looked for in
/etc, /run and /usr/lib with its drop-ins, as systemctl cat does.

With -installed a UNIT is a name, and the running systemd is asked what it has under it,
by systemctl show; that needs no root. It is then also checked whether systemd has read
the files as they are, and what the main process has of an earlier version of them: an
upgrade does not change its limits, environment, user and sandbox, a restart does.

The rules are for services that use the library: those that sdunits wrote (they have an
[X-Cutover] section), and those whose binary was built with it. Of others only lines that
systemd cannot read are reported; -all checks them all the same.

Exit status: 0 nothing was found, 1 something was, 2 it could not be checked.
`

// A checking has the arguments of check.
type checking struct {
	options                       units.Options
	against                       string
	installed, asJSON, errorsOnly bool
	names                         []string
}

func parseCheck(args []string, stdout io.Writer) (c checking, err error) {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	flags.BoolVar(&c.asJSON, "json", false, "print the findings as a JSON list")
	flags.StringVar(&c.against, "against", "", "also say what an upgrade would not pick up of the changes since the units in this `directory` or file")
	flags.BoolVar(&c.installed, "installed", false, "check what the running systemd has, and what its main process has of it")
	flags.BoolVar(&c.options.User, "user", false, "with -installed: ask your own service manager, not the system's")
	flags.BoolVar(&c.errorsOnly, "errors", false, "leave warnings out")
	flags.BoolVar(&c.options.All, "all", false, "check every service as if it used the library")
	flags.IntVar(&c.options.Systemd, "systemd", 0, "oldest `version` of systemd that the units are for (0: what they say, or 247)")
	flags.StringVar(&c.options.Root, "root", "", "`directory` of a root file system, in which names and binaries are looked for")
	if err := parse(flags, checkText, args, stdout); err != nil {
		return c, err
	}
	c.names = flags.Args()
	switch {
	case len(c.names) == 0:
		err = misused{errors.New("no unit is named")}
	case c.installed && (c.against != "" || c.options.Root != ""):
		err = misused{errors.New("-installed asks the running systemd, which knows of no -against and no -root")}
	case c.options.User && !c.installed:
		err = misused{errors.New("-user goes with -installed")}
	}
	return c, err
}

func check(args []string, stdout, stderr io.Writer) (int, error) {
	c, err := parseCheck(args, stdout)
	if err != nil {
		return 0, err
	}
	findings, applied, err := c.look()
	if err != nil {
		return 0, err
	}
	if c.errorsOnly {
		findings = slices.DeleteFunc(findings, func(f units.Finding) bool { return f.Severity != units.Error })
	}
	if applied == 0 {
		fmt.Fprintln(stderr, "sdunits check: none of these is known to use the library, so only their syntax was checked; -all checks them as if they did")
	}
	if c.asJSON {
		err = printJSON(stdout, findings)
	} else {
		err = printText(stdout, findings)
	}
	if len(findings) > 0 {
		return found, err
	}
	return 0, err
}

// look returns the findings, and how many services the rules were applied to.
func (c checking) look() (findings []units.Finding, applied int, err error) {
	if c.installed {
		return c.ask()
	}
	files, err := units.Load(c.options.Root, c.names...)
	if err != nil {
		return nil, 0, err
	}
	findings, applied = units.Check(files, c.options)
	if c.against != "" {
		old, err := units.Load(c.options.Root, c.against)
		if err != nil {
			return nil, 0, err
		}
		findings = append(findings, units.Changes(old, files)...)
	}
	return findings, applied, nil
}

func (c checking) ask() (findings []units.Finding, applied int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	for _, name := range c.names {
		more, n, err := units.CheckInstalled(ctx, name, c.options)
		if err != nil {
			return nil, 0, err
		}
		findings, applied = append(findings, more...), applied+n
	}
	return findings, applied, nil
}

func printJSON(w io.Writer, findings []units.Finding) error {
	if findings == nil {
		findings = []units.Finding{} // an empty list in JSON instead of null
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(findings)
}

func printText(w io.Writer, findings []units.Finding) error {
	for _, f := range findings {
		if _, err := fmt.Fprintf(w, "%s\n", f.Report()); err != nil {
			return err
		}
	}
	if len(findings) > 0 {
		_, err := fmt.Fprintf(w, "\n%d found; sdunits explain RULE tells more\n", len(findings))
		return err
	}
	return nil
}
