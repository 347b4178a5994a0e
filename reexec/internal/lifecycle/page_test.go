package lifecycle

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
)

var writeStates = flag.Bool("states", false, "write STATES.md from the state table")

const statesFile = "STATES.md"

// constants returns the names of the constants of file, and their comments.
func constants(t *testing.T, file string) (names, comments []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			if strings.HasPrefix(v.Names[0].Name, "Num") {
				continue
			}
			names, comments = append(names, v.Names[0].Name), append(comments, strings.TrimSpace(v.Comment.Text()))
		}
	}
	return names, comments
}

// statesPage returns STATES.md: a drawing, and for each state its events with an effect.
func statesPage(t *testing.T) string {
	t.Helper()
	actions, meaning := constants(t, "actions.go")
	_, states := constants(t, "states.go")
	var b strings.Builder
	b.WriteString("# The life of a generation\n\nThis page is written from `rules.go` by `go test ./reexec/internal/lifecycle -run TestStatesPage -states`. " +
		"An arrow is a change of state, with its events. Each state can also end by Close.\n\n```mermaid\nstateDiagram-v2\n")
	for s := range NumStates {
		for to := range NumStates {
			var on []string
			for e := range NumEvents {
				if c := Next(s, e); c.Disposition == Perform && c.To == to && to != s && e != EvClose {
					on = append(on, e.String())
				}
			}
			if len(on) > 0 {
				fmt.Fprintf(&b, "    %v --> %v: %s\n", s, to, strings.Join(on, ", "))
			}
		}
	}
	b.WriteString("```\n")
	named := func(do []Action) string {
		var all []string
		for _, a := range do {
			all = append(all, strings.TrimPrefix(actions[a], "Act"))
		}
		return strings.Join(all, ", ")
	}
	general := map[Event]bool{}
	b.WriteString("\n## Every state\n\n| event | actions |\n|---|---|\n")
	for e, all := range rules {
		if len(all) == 1 && all[0].in == every {
			general[Event(e)] = true
			fmt.Fprintf(&b, "| %v | %s |\n", Event(e), named(all[0].cell.Do))
		}
	}
	for s := range NumStates {
		fmt.Fprintf(&b, "\n## %v\n\n%s.\n\n", s, states[s])
		if do := s.OnEntry(); len(do) > 0 {
			fmt.Fprintf(&b, "On entry: %s.\n\n", named(do))
		}
		b.WriteString("| event | next state | actions |\n|---|---|---|\n")
		var ignored []string
		for e := range NumEvents {
			c := Next(s, e)
			if general[e] {
				continue
			}
			switch c.Disposition {
			case Postpone:
				fmt.Fprintf(&b, "| %v | | kept for the next state |\n", e)
			case Perform:
				to := c.To.String()
				if c.To == s {
					to = ""
				}
				fmt.Fprintf(&b, "| %v | %s | %s |\n", e, to, named(c.Do))
			default:
				ignored = append(ignored, e.String())
			}
		}
		fmt.Fprintf(&b, "\nIgnored: %s.\n", strings.Join(ignored, ", "))
	}
	b.WriteString("\n## Actions\n\n| action | effect |\n|---|---|\n")
	for i, a := range actions {
		fmt.Fprintf(&b, "| %s | %s |\n", strings.TrimPrefix(a, "Act"), meaning[i])
	}
	return b.String()
}

func TestStatesPageIsCurrent(t *testing.T) {
	want := statesPage(t)
	if *writeStates {
		if err := os.WriteFile(statesFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(statesFile); err != nil || string(got) != want {
		t.Errorf("%s differs from the state table, %v: run go test ./reexec/internal/lifecycle -run TestStatesPage -states", statesFile, err)
	}
}

func TestOperatorsPageExplainsEveryState(t *testing.T) {
	page, err := os.ReadFile("../../../units/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(string(page), "\n")
	for s := range NumStates {
		if !slices.ContainsFunc(rows, func(row string) bool {
			return strings.HasPrefix(row, "| `") && strings.Contains(strings.SplitN(row, "|", 3)[1], "`"+s.String()+"`")
		}) {
			t.Errorf("units/OPERATING.md has no row for the state %v", s)
		}
	}
}
