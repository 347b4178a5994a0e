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

// Command is what a program offers as `myapp units`: it prints its units, installs
// them (--install), or checks those that are installed against what the program
// knows of itself (--check). args are the arguments after the word units. A Daemon
// without Binary gets the path of this program.
//
//	case "units":
//		os.Exit(daemon.Command(os.Args[2:], os.Stdout, os.Stderr))
//
// It returns the exit status: 0, 1 if something was found or could not be done, 2 for
// wrong arguments. It does not run systemctl, but says what is to be run.
func (d Daemon) Command(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("units", flag.ContinueOnError)
	flags.SetOutput(stderr)
	install := flags.Bool("install", false, "write them where systemd finds them, and replace older ones")
	check := flags.Bool("check", false, "check those that are installed")
	_ = flags.Bool("print", true, "print them")
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
		fmt.Fprintf(stderr, "units: %q: no such argument\n", flags.Arg(0))
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

// here fills in what the running program knows of itself.
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

// install writes the units and says what is to be done then.
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
