package units

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const commandUsage = `Usage: %s [--install [--dir DIR] | --check]

Without an option it prints the program's systemd units.

`

// Command implements a command such as `myapp units`. It prints the units, installs them
// (--install), or checks the installed units against d (--check). args are the arguments after
// the word units. A Daemon without Binary gets the path of this program.
//
//	case "units":
//		os.Exit(daemon.Command(os.Args[2:], os.Stdout, os.Stderr))
//
// Command returns the exit status: 0, 1 after an error or with findings, 2 for wrong
// arguments. It does not run systemctl, but prints the systemctl commands to run.
func (d Daemon) Command(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("units", flag.ContinueOnError)
	flags.SetOutput(stderr)
	install := flags.Bool("install", false, "write the units to the directory of -dir, and replace older ones")
	check := flags.Bool("check", false, "check the installed units")
	_ = flags.Bool("print", true, "print the units")
	dir := flags.String("dir", "/etc/systemd/system", "the `directory` to install to")
	flags.Usage = func() {
		fmt.Fprintf(stderr, commandUsage, flags.Name())
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "units: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	var err error
	if d, err = d.here(); err == nil {
		switch {
		case *install:
			err = d.install(*dir, stdout)
		case *check:
			err = d.check(stdout)
		default:
			err = d.print(stdout)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// here fills in the path of the running program.
func (d Daemon) here() (Daemon, error) {
	if d.Binary != "" {
		return d, nil
	}
	self, err := os.Executable()
	if err != nil {
		return d, fmt.Errorf("units: find this program: %w", err)
	}
	d.Binary = self
	return d, nil
}

func (d Daemon) print(w io.Writer) error {
	files, err := d.Units()
	if err != nil {
		return err
	}
	for _, f := range files {
		if _, err := fmt.Fprintln(w, f); err != nil {
			return err
		}
	}
	return nil
}

// install writes the units and prints the systemctl commands to run next.
func (d Daemon) install(dir string, w io.Writer) error {
	files, err := d.Units()
	if err != nil {
		return err
	}
	var enable []string
	for _, f := range files {
		if err := f.Install(dir); err != nil {
			return err
		}
		fmt.Fprintln(w, filepath.Join(dir, f.Name))
		if strings.Contains(f.Text, "\n[Install]\n") {
			enable = append(enable, f.Name)
		}
	}
	fmt.Fprintf(w, "now run:\n\tsystemctl daemon-reload\n\tsystemctl enable --now %s\n", strings.Join(enable, " "))
	return nil
}

// check compares the installed units with the program.
func (d Daemon) check(w io.Writer) error {
	full, err := d.complete()
	if err != nil {
		return err
	}
	files, err := Load("", d.Name+".service")
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; --install writes them", err)
	}
	if err != nil {
		return err
	}
	findings, _ := Check(files, Options{Program: &full})
	for _, f := range findings {
		fmt.Fprintln(w, f.Report())
	}
	if len(findings) > 0 {
		return fmt.Errorf("units: %d findings", len(findings))
	}
	return nil
}
