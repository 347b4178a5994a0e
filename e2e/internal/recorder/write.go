package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// drawer is the folder of the program that draws, seen from this package. It is a separate
// module, so that this one does not need the library that it draws with.
const drawer = "../../report"

// Usage describes the file of Write, for flags.
const Usage = "write every request to a `file`: a page if it ends in .html, a picture of the first upgrade if it ends in .svg, else JSON"

// Writable returns an error if Write would fail for file, so that a program can say so before it
// begins.
func Writable(file string) error {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return fmt.Errorf("report %s: it is a directory, name a file", file)
	}
	probe, err := os.CreateTemp(filepath.Dir(file), ".cutover-report-")
	if err != nil {
		return fmt.Errorf("report %s: %w", file, err)
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	if _, missing := exec.LookPath("go"); missing != nil && isDrawn(file) {
		return fmt.Errorf("report %s: the go command draws it, and is missing here: name a .json file, and draw that by `go run ./e2e/report` elsewhere", file)
	}
	return err
}

// isDrawn reports whether file is a page or a picture.
func isDrawn(file string) bool { return slices.Contains([]string{".html", ".svg"}, filepath.Ext(file)) }

// Write writes r to file: as a page if the name ends in .html, as a picture of the first
// upgrade if it ends in .svg, otherwise as JSON. A page and a picture need the go command
// and the source of this module.
func Write(ctx context.Context, file string, r *record.Report) (err error) {
	if !isDrawn(file) {
		return writeJSON(file, r)
	}
	if file, err = filepath.Abs(file); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "cutover-report-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	data := filepath.Join(dir, "report.json")
	if err := writeJSON(data, r); err != nil {
		return err
	}
	here, err := exec.CommandContext(ctx, "go", "list", "-f", "{{.Dir}}", "github.com/cutover-go/cutover/e2e/internal/recorder").Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	cmd := exec.CommandContext(ctx, "go", "run", "-buildvcs=false", ".", "-o", file, data)
	cmd.Dir = filepath.Join(strings.TrimSpace(string(here)), drawer)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("draw %s: %w\n%s", file, err, text)
	}
	return nil
}

func writeJSON(file string, r *record.Report) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}
