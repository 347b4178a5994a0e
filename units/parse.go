package units

import "strings"

// go-systemd reads unit files too, but loses where a setting stands, does not join
// continued lines as systemd does, and gives up at the first mistake, where systemd
// skips a line. So what follows is systemd's config_parse (src/shared/conf-parser.c).

// An assignment is one KEY=VALUE of a unit file.
type assignment struct {
	file         *File
	line         int // of its first line, from 1
	section, key string
	value        string // continued lines joined, blanks around it removed
}

// A parsed file has the assignments in order, the first line of each section, and the lines
// that systemd ignores.
type parsed struct {
	all      []assignment
	sections map[string]int // line of the first header
	ignored  []ignoredLine
}

type ignoredLine struct {
	assignment
	why string
}

// parse reads f. It accepts every text.
func parse(f *File) *parsed {
	p := &parser{parsed: parsed{sections: map[string]int{}}, file: f}
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
	return &p.parsed
}

type parser struct {
	parsed
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
	if _, again := p.sections[name]; !again {
		p.sections[name] = number
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
		p.all = append(p.all, assignment{p.file, number, p.section, key, strings.Trim(value, blanks)})
	}
}

func (p *parser) ignore(number int, line, why string) {
	p.ignored = append(p.ignored, ignoredLine{assignment{p.file, number, p.section, "", line}, why})
}
