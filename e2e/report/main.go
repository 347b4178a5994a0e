// Command report makes one HTML file of the JSON of a record.Report, or a picture of its
// first upgrade:
//
//	go run . -o report.html report.json
//	go run . -o upgrade.svg report.json
//
// The file needs no network. It shows each request at the time at which it was due, in the
// colour of the process that answered, with the upgrades and the lost requests; the
// percentiles, the failures by kind, the descriptors and the memory over time.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cutover-go/cutover/e2e/internal/digest"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

func main() {
	out := flag.String("o", "report.html", "the `file` to write: a page, or a picture if it ends in .svg")
	text := flag.Bool("text", false, "print a summary, too")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *out, *text); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(in, out string, text bool) error {
	data, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	r := new(record.Report)
	if err := json.Unmarshal(data, r); err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	if text {
		fmt.Print(digest.Of(r))
	}
	write := writePage
	if filepath.Ext(out) == ".svg" {
		write = writePicture
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	return errors.Join(write(f, r), f.Close())
}
