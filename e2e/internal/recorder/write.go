package recorder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// drawer is the folder of the program that draws, seen from this package. It is a separate
// module, so that this one does not need the library that it draws with.
const drawer = "../../report"

// Usage describes the file of Write, for flags.
const Usage = "write every request to a `file`: a page if it ends in .html, a picture of the first upgrade if it ends in .svg, else JSON"

// Write writes r to file: as a page if the name ends in .html, as a picture of the first
// upgrade if it ends in .svg, otherwise as JSON. A page and a picture need the go command
// and the source of this module.
func Write(ctx context.Context, file string, r *record.Report) (err error) {
	ext := filepath.Ext(file)
	if ext != ".html" && ext != ".svg" {
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
