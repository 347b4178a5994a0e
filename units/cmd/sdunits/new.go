package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/units"
)

const newText = `Usage: sdunits new -name NAME -binary PATH [-listen NAME=ADDRESS]... [options] [-- ARGUMENTS]

Writes the .service unit of a program, and a .socket unit for each -listen name, to
standard output or into a directory. ARGUMENTS are those that the program serves with.
`

func newUnits(args []string, stdout, _ io.Writer) (int, error) {
	flags := flag.NewFlagSet("new", flag.ContinueOnError)
	from := flags.String("from", "", "begin with what the units in this `directory` were made from")
	out := flags.String("o", "", "write into this `directory`; without it to standard output")
	if dir := valueOf(args, "from"); dir != "" {
		*from = dir
	}
	d, err := describe(*from)
	if err != nil {
		return 0, err
	}
	define(flags, &d)
	if err := parse(flags, newText, args, stdout); err != nil {
		return 0, err
	}
	if flags.NArg() > 0 {
		d.Args = flags.Args()
	}
	files, err := d.Units()
	if err != nil {
		return 0, misused{err}
	}
	for _, f := range files {
		if *out != "" {
			err = errors.Join(err, f.Install(*out))
		} else {
			_, err = fmt.Fprintln(stdout, f)
		}
	}
	return 0, err
}

// valueOf finds a flag before the others are defined, whose defaults it decides.
func valueOf(args []string, name string) string {
	for i, arg := range args {
		plain := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
		if value, ok := strings.CutPrefix(plain, name+"="); ok && plain != arg {
			return value
		}
		if plain == name && plain != arg && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

func describe(dir string) (units.Daemon, error) {
	if dir == "" {
		return units.Daemon{}, nil
	}
	files, err := units.Load("", dir)
	if err != nil {
		return units.Daemon{}, err
	}
	return units.Describe(files)
}

func define(flags *flag.FlagSet, d *units.Daemon) {
	flags.StringVar(&d.Name, "name", d.Name, "`name` of the service")
	flags.StringVar(&d.Description, "description", d.Description, "what it is, in a `line` for people")
	flags.StringVar(&d.Binary, "binary", d.Binary, "`path` of the program")
	flags.StringVar(&d.ReloadCommand, "reload-command", d.ReloadCommand, "`path` of an installed cutover-reload, which asks for upgrades as root, without the sandbox; without it the program does")
	flags.Var((*listen)(&d.Sockets), "listen", "let systemd listen: `NAME=ADDRESS`, once for each address; NAME:datagram=ADDRESS for datagrams, NAME:seqpacket=ADDRESS")
	flags.IntVar(&d.Binds, "binds", d.Binds, "how many `sockets` the program binds itself")
	flags.IntVar(&d.Conns, "conns", d.Conns, "how many idle `connections` the program may leave in the fd store when it is restarted (RestartKillSignal=SIGUSR2)")
	flags.BoolVar(&d.Network, "network", d.Network, "the program binds or connects to network sockets by itself")
	flags.StringVar(&d.User, "user", d.User, "`user` to run as; without it one made up for each start")
	flags.Func("credential", "a file that only root reads, such as a TLS key: `NAME=PATH`, once for each; the program reads $CREDENTIALS_DIRECTORY/NAME", func(text string) error {
		name, path, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("NAME=PATH is wanted, such as tls.key=/etc/myapp/tls.key")
		}
		d.Credentials = append(d.Credentials, name+":"+path)
		return nil
	})
	flags.Var((*hardening)(&d.Hardening), "hardening", "the sandbox: none, standard (the default) or strict")
	flags.DurationVar(&d.ReadyTimeout, "ready", d.ReadyTimeout, "reexec.Options.ReadyTimeout (0: its default, 30s)")
	flags.DurationVar(&d.Trial, "trial", d.Trial, "reexec.Options.Trial")
	if d.StopDrain == d.Drain {
		d.StopDrain = 0 // follows -drain
	}
	flags.DurationVar(&d.Drain, "drain", d.Drain, "reexec.Options.Drain (0: its default, 30s)")
	flags.DurationVar(&d.StopDrain, "stop-drain", d.StopDrain, "reexec.Options.StopDrain (0: the value of -drain)")
	flags.IntVar(&d.Systemd, "systemd", d.Systemd, "oldest `version` of systemd that the units are for (0: 247)")
	flags.Func("survive", "keep the sockets open over this `event`: soft-reboot (systemd 254)", func(text string) error {
		if d.SoftReboot = text == "soft-reboot"; !d.SoftReboot {
			return errors.New("soft-reboot is the only event")
		}
		return nil
	})
	flags.BoolVar(&d.Watch, "watch", d.Watch, "also a .path unit, which upgrades when the binary is replaced")
}

// listen is the flag that collects sockets.
type listen []units.Socket

func (l *listen) String() string { return "" }

func (l *listen) Set(text string) error {
	name, address, ok := strings.Cut(text, "=")
	if !ok {
		return errors.New("NAME=ADDRESS is wanted, such as http=8080")
	}
	name, kind, _ := strings.Cut(name, ":")
	kinds := map[string]string{"": "Stream", "stream": "Stream", "datagram": "Datagram", "seqpacket": "SequentialPacket"}
	if kinds[kind] == "" {
		return fmt.Errorf("%q is none of stream, datagram, seqpacket", kind)
	}
	i := slices.IndexFunc(*l, func(s units.Socket) bool { return s.Name == name && s.Kind == kinds[kind] })
	if i < 0 {
		*l = append(*l, units.Socket{Name: name, Kind: kinds[kind]})
		i = len(*l) - 1
	}
	(*l)[i].Listen = append((*l)[i].Listen, address)
	return nil
}

type hardening units.Hardening

func (h *hardening) String() string { return string(*h) }

func (h *hardening) Set(text string) error {
	if !slices.Contains([]units.Hardening{units.None, units.Standard, units.Strict}, units.Hardening(text)) {
		return errors.New("none, standard or strict")
	}
	*h = hardening(text)
	return nil
}
