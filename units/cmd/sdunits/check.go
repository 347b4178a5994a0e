package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/cutover-go/cutover/units"
)

const checkText = `Usage: sdunits check [options] UNIT...

A UNIT is a directory of unit files, a file, or the name of a unit that is looked for in
/etc, /run and /usr/lib with its drop-ins, as systemctl cat does.

The rules are for services that use the library: those that sdunits wrote (they have an
[X-Cutover] section), and those whose binary was built with it. Of others only lines that
systemd cannot read are reported; -all checks them all the same.

Exit status: 0 nothing was found, 1 something was, 2 it could not be checked.
`

func check(args []string, stdout, stderr io.Writer) (int, error) {
	flags := newFlags("check", checkText, stderr)
	asJSON := flags.Bool("json", false, "print the findings as a JSON list")
	against := flags.String("against", "", "also say what an upgrade would not pick up of the changes since the units in this `directory` or file")
	errorsOnly := flags.Bool("errors", false, "leave warnings out")
	var o units.Options
	flags.BoolVar(&o.All, "all", false, "check every service as if it used the library")
	flags.IntVar(&o.Systemd, "systemd", 0, "oldest `version` of systemd that the units are for (0: what they say, or 247)")
	flags.StringVar(&o.Root, "root", "", "`directory` of a root file system, in which names and binaries are looked for")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if flags.NArg() == 0 {
		return 0, fmt.Errorf("no unit is named; -h helps")
	}
	files, err := units.Load(o.Root, flags.Args()...)
	if err != nil {
		return 0, err
	}
	findings, applied := units.Check(files, o)
	if *against != "" {
		old, err := units.Load(o.Root, *against)
		if err != nil {
			return 0, err
		}
		findings = append(findings, units.Changes(old, files)...)
	}
	if *errorsOnly {
		findings = slices.DeleteFunc(findings, func(f units.Finding) bool { return f.Severity != units.Error })
	}
	if applied == 0 {
		fmt.Fprintln(stderr, "sdunits check: none of these is known to use the library, so only their syntax was checked; -all checks them as if they did")
	}
	if *asJSON {
		err = printJSON(stdout, findings)
	} else {
		err = printText(stdout, findings)
	}
	if len(findings) > 0 {
		return found, err
	}
	return 0, err
}

func printJSON(w io.Writer, findings []units.Finding) error {
	if findings == nil {
		findings = []units.Finding{} // a list for whoever reads it, also without findings
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
