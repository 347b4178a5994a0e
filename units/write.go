package units

import (
	"io"
	"strings"

	"github.com/coreos/go-systemd/v22/unit"
)

// setting is one line of a unit that we write, and the reason for it.
type setting struct {
	section, key, value, why string
}

// Units returns the unit files of the program: one .service, the .socket units
// that it has, and on request the .path unit that reloads it. The error says what
// of the Daemon cannot be.
//
// Each setting that the library needs says why in the line above it.
func (d Daemon) Units() ([]File, error) {
	d, err := d.complete()
	if err != nil {
		return nil, err
	}
	files := []File{{Name: d.Name + ".service", Text: render(d.service())}}
	for _, s := range d.Sockets {
		files = append(files, File{Name: d.socketUnit(s), Text: render(d.socket(s))})
	}
	if d.Watch {
		files = append(files,
			File{Name: d.Name + "-upgrade.path", Text: render(d.watcher())},
			File{Name: d.Name + "-upgrade.service", Text: render(d.upgrader())})
	}
	return files, nil
}

// render writes settings with their reasons. The settings of a section are
// together. go-systemd writes one line an option; it knows no comments.
func render(settings []setting) string {
	options := make([]*unit.UnitOption, len(settings))
	for i, s := range settings {
		options[i] = unit.NewUnitOption(s.section, s.key, s.value)
	}
	plain, _ := io.ReadAll(unit.Serialize(options)) // of memory: cannot fail
	var text strings.Builder
	next := 0
	for line := range strings.Lines(string(plain)) {
		if next < len(settings) && strings.HasPrefix(line, settings[next].key+"=") {
			writeReason(&text, settings[next].why)
			next++
		}
		text.WriteString(line)
	}
	return text.String()
}

func writeReason(text *strings.Builder, why string) {
	for line := range strings.Lines(why) {
		text.WriteString("# " + strings.TrimSuffix(line, "\n") + "\n")
	}
}

// literal writes text so that systemd finds no specifier in it (systemd.unit(5)).
func literal(text string) string { return strings.ReplaceAll(text, "%", "%%") }

func unliteral(text string) string { return strings.ReplaceAll(text, "%%", "%") }
