package unitfile

import "strings"

// go-systemd reads unit files too, but loses where a setting stands, does not join
// continued lines as systemd does, and gives up at the first mistake, where systemd
// skips a line. This parser follows systemd's config_parse (src/shared/conf-parser.c).

// A File is the text of a unit file or of a drop-in.
type File struct {
	Name string // myapp.service, or myapp.service.d/limit.conf
	Path string // "" if the file was not read
	Text string
}

// An Assignment is one KEY=VALUE of a unit file.
type Assignment struct {
	File         *File
	Line         int // of its first line, from 1
	Section, Key string
	Value        string // continued lines joined, blanks around it removed
}

// A Parsed file has the assignments in order, the first line of each section, and the lines
// that systemd ignores.
type Parsed struct {
	All      []Assignment
	Sections map[string]int // line of the first header
	Ignored  []Ignored
}

// An Ignored line is one that systemd cannot read. Its Value is the whole line.
type Ignored struct {
	Assignment
	Why string
}

// Parse reads f. It accepts every text.
func Parse(f *File) *Parsed {
	p := &parser{Parsed: Parsed{Sections: map[string]int{}}, file: f}
	number := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(f.Text, "\uFEFF"), "\n") {
		number++
		// systemd also ends a line at a carriage return or NUL; editors do not.
		line = strings.ReplaceAll(strings.TrimSuffix(line, "\r"), "\r", "\x00")
		for part := range strings.SplitSeq(line, "\x00") {
			p.physical(number, part)
		}
	}
	p.logical() // a continued line at the end of the file
	return &p.Parsed
}

type parser struct {
	Parsed
	file    *File
	section string

	pending string // a line that is continued
	begun   int    // its number
}

// physical takes one line of the file. A comment between continued lines does not
// end them.
func (p *parser) physical(number int, line string) {
	line = strings.TrimLeft(line, blanks)
	if line != "" && (line[0] == '#' || line[0] == ';') {
		return
	}
	if p.begun == 0 {
		p.begun = number
	}
	// An odd number of backslashes at the end: the last escapes the line's end.
	whole := p.pending + line
	if slashes := len(whole) - len(strings.TrimRight(whole, `\`)); slashes%2 == 1 {
		p.pending = whole[:len(whole)-1] + " "
		return
	}
	p.pending = whole
	p.logical()
}

const blanks = " \t\n\r"

// logical reads a line after physical has joined it.
func (p *parser) logical() {
	line, number := strings.Trim(p.pending, blanks), p.begun
	p.pending, p.begun = "", 0
	switch {
	case line == "":
	case line[0] == '[':
		p.header(number, line)
	default:
		p.assign(number, line)
	}
}

func (p *parser) header(number int, line string) {
	name, closed := strings.CutSuffix(line[1:], "]")
	if !closed {
		p.ignore(number, line, "a section's header ends with ]")
		return
	}
	p.section = name
	if _, again := p.Sections[name]; !again {
		p.Sections[name] = number
	}
}

func (p *parser) assign(number int, line string) {
	key, value, found := strings.Cut(line, "=")
	key = strings.Trim(key, blanks)
	switch {
	case p.section == "":
		p.ignore(number, line, "it stands before the first section")
	case !found:
		p.ignore(number, line, "it has no =")
	case key == "":
		p.ignore(number, line, "nothing stands before the =")
	default:
		p.All = append(p.All, Assignment{p.file, number, p.section, key, strings.Trim(value, blanks)})
	}
}

func (p *parser) ignore(number int, line, why string) {
	p.Ignored = append(p.Ignored, Ignored{Assignment{p.file, number, p.section, "", line}, why})
}
