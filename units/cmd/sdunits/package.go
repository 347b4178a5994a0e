package main

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/cutover-go/cutover/units"
	"github.com/cutover-go/cutover/units/internal/applied"
)

const packageText = `Usage: sdunits package [options] -o DIR UNITS

Writes the files that a Debian and an RPM package of the program need, so that an upgrade of
the package is an upgrade of the process. UNITS is the directory of units that sdunits wrote.
DIR gets

  nfpm.yaml           a configuration of nfpm for both kinds of package
  deb/                maintainer scripts of a Debian package without debhelper
  debian/             the same for debhelper: rules and scripts
  rpm/                scriptlets, and scriptlets.spec to include in a .spec file

An upgrade reloads the service. It then restarts the service if a setting has changed that
only a start applies, or if the service has a new socket. The sockets stay open. A version that
does not serve leaves the old one serving, and dpkg fails; rpm prints a warning. The first
installation starts the service, a removal stops it, a purge removes its directories.
Without a running systemd, and where policy-rc.d forbids it, the scripts start nothing.
`

//go:embed packaging
var packagingFiles embed.FS

// packagingOutput maps files to the templates in packaging, and to whether debhelper's parts are in them.
var packagingOutput = []struct {
	file, template string
	debhelper      bool
}{
	{"nfpm.yaml", "nfpm.yaml", false},
	{"deb/preinst", "preinst", false}, {"deb/postinst", "postinst", false}, {"deb/prerm", "prerm", false}, {"deb/postrm", "postrm", false},
	{"debian/rules", "rules", true}, {"debian/%s.preinst", "preinst", true}, {"debian/%s.postinst", "postinst", true}, {"debian/%s.postrm", "postrm", true},
	{"rpm/pre", "pre", false}, {"rpm/post", "post", false}, {"rpm/preun", "preun", false}, {"rpm/postun", "postun", false},
	{"rpm/scriptlets.spec", "scriptlets.spec", false},
}

// A packaging is the data of the templates.
type packaging struct {
	units.Daemon
	Package     string // name of the package
	Source      string // the program on the machine that builds the package
	Dir         string // the directory with the output
	Service     string
	SocketUnits []string
	Files       []copied
	Data        []string // directories that a purge removes
	Debhelper   bool
	Rpm         bool
}

// copied is a unit file and its path in the package.
type copied struct{ From, To string }

func packageUnits(args []string, stdout, _ io.Writer) (int, error) {
	flags := flag.NewFlagSet("package", flag.ContinueOnError)
	var p packaging
	flags.StringVar(&p.Dir, "o", "", "write into this `directory`")
	flags.StringVar(&p.Package, "name", "", "`name` of the package; without it that of the service")
	flags.StringVar(&p.Source, "source", "", "`path` of the program where the package is built (without it its name in the current directory)")
	if err := parse(flags, packageText, args, stdout); err != nil {
		return 0, err
	}
	switch {
	case flags.NArg() != 1:
		return 0, misused{errors.New("one directory of units is wanted")}
	case p.Dir == "":
		return 0, misused{errors.New("-o DIR is wanted")}
	}
	if err := p.read(flags.Arg(0)); err != nil {
		return 0, err
	}
	return 0, p.write()
}

var packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)

// read fills in p from the units in dir.
func (p *packaging) read(dir string) error {
	files, err := units.Load("", dir)
	if err != nil {
		return err
	}
	if p.Daemon, err = units.Describe(files); err != nil {
		return err
	}
	if p.Watch {
		return errors.New("the units have a .path unit, which would reload the service a second time: write them without -watch")
	}
	p.Package = cmp.Or(p.Package, p.Name)
	if !packageName.MatchString(p.Package) {
		return misused{fmt.Errorf("%q is no name of a package: lower-case letters, digits and +.- make one; -name sets it", p.Package)}
	}
	p.Dir, p.Source = filepath.ToSlash(filepath.Clean(p.Dir)), cmp.Or(p.Source, path.Base(p.Binary))
	p.Service = p.Name + ".service"
	for _, f := range files {
		switch {
		case path.Ext(f.Name) == ".socket":
			p.SocketUnits = append(p.SocketUnits, f.Name)
		case f.Name == p.Service || path.Dir(f.Name) == p.Service+".d":
			dirs, err := dataOf(f.Text)
			if err != nil {
				return err
			}
			p.Data = append(p.Data, dirs...)
		case path.Ext(f.Name) == ".service":
			return fmt.Errorf("%s is a second service beside %s, and the scripts are those of one: put its units into another directory", f.Name, p.Service)
		}
		p.Files = append(p.Files, copied{filepath.ToSlash(f.Path), path.Join("/usr/lib/systemd/system", f.Name)})
	}
	return nil
}

// dataOf returns the directories of a service that outlive it.
func dataOf(service string) (dirs []string, err error) {
	options, err := unit.DeserializeOptions(strings.NewReader(service))
	if err != nil {
		return nil, err
	}
	below := map[string]string{"StateDirectory": "/var/lib", "CacheDirectory": "/var/cache", "LogsDirectory": "/var/log"}
	for _, o := range options {
		if o.Section != "Service" || below[o.Name] == "" {
			continue
		}
		for word := range strings.FieldsSeq(o.Value) {
			name, link, _ := strings.Cut(word, ":")
			for _, n := range []string{name, link} {
				if n == "" {
					continue
				}
				if !regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*$`).MatchString(n) || path.Clean(n) != n || strings.Contains(n, "..") {
					return nil, fmt.Errorf("%s=%s: a purge removes plain names only", o.Name, word)
				}
				dirs = append(dirs, path.Join(below[o.Name], n), path.Join(below[o.Name], "private", n))
			}
		}
	}
	return dirs, nil
}

func (p packaging) write() error {
	all, err := template.ParseFS(packagingFiles, "packaging/*")
	if err != nil {
		return err
	}
	for _, o := range packagingOutput {
		name := o.file
		if strings.Contains(name, "%s") {
			name = fmt.Sprintf(name, p.Package)
		}
		p.Debhelper, p.Rpm = o.debhelper, strings.HasPrefix(name, "rpm/")
		var text bytes.Buffer
		if err := all.ExecuteTemplate(&text, o.template, p); err != nil {
			return err
		}
		if err := writeScript(filepath.Join(p.Dir, name), text.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// writeScript writes a file that is executable if it begins with #!.
func writeScript(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if bytes.HasPrefix(text, []byte("#!")) {
		mode = 0o755
	}
	return errors.Join(os.WriteFile(name, text, mode), os.Chmod(name, mode))
}

// What the templates ask for.

func (p packaging) Title() string {
	return "an upgrade of the package reloads " + p.Service
}

func (p packaging) SocketList() string { return strings.Join(p.SocketUnits, " ") }

func (p packaging) EnableList() string {
	return strings.Join(slices.Concat(p.SocketUnits, []string{p.Service}), " ")
}

// Invoke runs systemctl; Debian's command asks policy-rc.d first.
func (p packaging) Invoke() string {
	if p.Rpm {
		return "systemctl"
	}
	return "deb-systemd-invoke"
}

func (p packaging) Manager() string { manager, _ := applied.Patterns(); return manager }

func (p packaging) Start() string { _, start := applied.Patterns(); return start }
