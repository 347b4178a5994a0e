// Command sdunits writes, checks and explains the systemd units of programs that are
// replaced while they run, and writes the scripts of their packages. It reads
// files only, and with check -installed the output of systemctl and /proc: no network, no root.
// status also connects to the control socket of the service, as root or as its user.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const usage = `Usage: sdunits <command> [options]

  new       write the units of a program
  check     say what is wrong with units: what will happen in an upgrade, what to write
  package   write what Debian and RPM packages of the program need
  explain   tell more about a rule, or list all rules
  status    ask the main process of a service for its status

sdunits <command> -h says more. Examples:

  sdunits new -name myapp -binary /usr/bin/myapp -listen http=8080 -o ./units
  sdunits check ./units
  sdunits check myapp.service             # the files that this machine has
  sdunits check -installed myapp.service  # what systemd has read, and its process has of it
  sdunits check -against /old/units ./units
  sdunits package -o packaging ./units
  sdunits explain kill-mode
  sdunits status myapp.service
`

// Exit statuses besides 0.
const (
	found    = 1 // check has findings
	misusage = 2 // wrong arguments, files that cannot be read
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	commands := map[string]func([]string, io.Writer, io.Writer) (int, error){
		"new": newUnits, "check": check, "package": packageUnits, "explain": explain, "status": status,
	}
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return misusage
	}
	if args[0] == "-h" || args[0] == "--help" || args[0] == "-help" || args[0] == "help" {
		fmt.Fprint(stdout, usage)
		return 0
	}
	command := commands[args[0]]
	if command == nil {
		fmt.Fprintf(stderr, "sdunits: %q is no command\n\n%s", args[0], usage)
		return misusage
	}
	status, err := command(args[1:], stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "sdunits %s: %v; sdunits %[1]s -h says more\n", args[0], err)
		return misusage
	case err != nil:
		fmt.Fprintf(stderr, "sdunits %s: %v\n", args[0], err)
		return misusage
	}
	return status
}

// errUsage is in the chain of errors about arguments.
var errUsage = errors.New("wrong arguments")

// misused is an error of which help says how to do better.
type misused struct{ error }

func (m misused) Unwrap() []error { return []error{m.error, errUsage} }

// parse reads the arguments of a command. For -h it prints text and the flags.
func parse(flags *flag.FlagSet, text string, args []string, stdout io.Writer) error {
	flags.Init(flags.Name(), flag.ContinueOnError)
	flags.SetOutput(io.Discard) // a mistake is not helped by a page of options that hides it
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, "%s\nOptions:\n", text)
		flags.SetOutput(stdout)
		flags.PrintDefaults()
		return err
	case err != nil:
		return misused{err}
	}
	return late(flags, args)
}

// late returns an error for an option that comes after the first argument, where package flag
// does not read it.
func late(flags *flag.FlagSet, args []string) error {
	if slices.Contains(args, "--") {
		return nil
	}
	for _, arg := range flags.Args() {
		name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if strings.HasPrefix(arg, "-") && flags.Lookup(name) != nil {
			return misused{fmt.Errorf("%s comes after %s: options come first, and -- before arguments of the program", arg, flags.Arg(0))}
		}
	}
	return nil
}
