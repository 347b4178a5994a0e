package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/cutover-go/cutover/units"
)

const explainText = `Usage: sdunits explain [RULE...]

Prints what is known of each rule, with a unit that breaks it and the same unit fixed.
Without a RULE it lists all.
`

func explain(args []string, stdout, _ io.Writer) (int, error) {
	flags := flag.NewFlagSet("explain", flag.ContinueOnError)
	all := flags.Bool("all", false, "explain all rules")
	if err := parse(flags, explainText, args, stdout); err != nil {
		return 0, err
	}
	rules := units.Rules()
	if flags.NArg() == 0 && !*all {
		return 0, list(stdout, rules)
	}
	for _, id := range flags.Args() {
		if !slices.ContainsFunc(rules, func(r units.Rule) bool { return r.ID == id }) {
			return 0, fmt.Errorf("%q is no rule; sdunits explain lists them", id)
		}
	}
	first := true
	for _, r := range rules {
		if !*all && !slices.Contains(flags.Args(), r.ID) {
			continue
		}
		if !first {
			fmt.Fprintln(stdout)
		}
		first = false
		fmt.Fprint(stdout, r.Page())
	}
	return 0, nil
}

func list(w io.Writer, rules []units.Rule) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rules {
		fmt.Fprintf(table, "%s\t%s\t%s\n", r.ID, r.Severity, r.Title)
	}
	return table.Flush()
}
