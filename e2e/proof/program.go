package proof

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// wrapperSource is the program that makes upgrades fail. It is built from here, because a
// module that vendors its requirements has the files of this package, and no others.
//
//go:embed internal/wrapper/main.go
var wrapperSource []byte

// reloadCommand is the package of a reload command that units may name.
const reloadCommand = "github.com/cutover-go/cutover/reexec/cmd/cutover-reload"

// goBuild builds a package in the directory dir and returns the path of the program.
func (p *proof) goBuild(ctx context.Context, dir, pkg, name string, args ...string) (string, error) {
	out := filepath.Join(p.dir, name)
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", out}, args...), pkg)...)
	cmd.Dir = dir
	cmd.Env = cmd.Environ()
	if _, chosen := os.LookupEnv("CGO_ENABLED"); !chosen && p.Systemd != 0 {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0") // the libc of that tree is another one
	}
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, text)
	}
	head := make([]byte, 4)
	f, err := os.Open(out)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.Read(head); err != nil || !bytes.Equal(head, []byte("\x7fELF")) {
		return "", fmt.Errorf("%s is not a program: its package is not main", pkg)
	}
	return out, nil
}

// build builds the program of the daemon.
func (p *proof) build(ctx context.Context) (err error) {
	if p.Binary != "" {
		p.built = p.local(p.Binary)
		return readable(p.built)
	}
	p.Log("builds " + p.Build)
	p.built, err = p.goBuild(ctx, p.Dir, p.Build, "program", p.BuildArgs...)
	return err
}

// local returns a path of this host, which may be relative to Dir.
func (p *proof) local(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Dir, path)
}

func readable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

// buildWrapper builds the wrapper when the first story needs it.
func (p *proof) buildWrapper(ctx context.Context) error {
	if p.wrapper != "" {
		return nil
	}
	dir := filepath.Join(p.dir, "wrapper-source")
	err := os.MkdirAll(dir, 0o755)
	for name, text := range map[string][]byte{"main.go": wrapperSource, "go.mod": []byte("module wrapper\n\ngo 1.25\n")} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags", "-s -w", "-o", "../wrapper", ".")
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the wrapper: %w\n%s", err, text)
	}
	p.wrapper = filepath.Join(p.dir, "wrapper")
	return nil
}

// deploy replaces the program of the daemon by a copy of itself, as a package upgrade does.
func (p *proof) deploy() error {
	at := p.r.Now()
	err := p.stage.put(p.built, p.path)
	p.r.Event(record.Event{Kind: record.Deploy, Story: p.telling, At: at, Done: p.r.Now(), Text: "the program itself"})
	return err
}

// deployWrapper replaces it by a program that obeys orders: see internal/wrapper.
func (p *proof) deployWrapper(ctx context.Context, do string, delay time.Duration, text string) error {
	if err := p.buildWrapper(ctx); err != nil {
		return err
	}
	at, program := p.r.Now(), p.path+".real"
	orders, err := json.Marshal(map[string]any{"do": do, "for": delay, "program": program})
	if err != nil {
		return err
	}
	err = errors.Join(p.stage.put(p.built, program), p.stage.write(p.path+".orders", orders, 0o644), p.stage.put(p.wrapper, p.path))
	p.r.Event(record.Event{Kind: record.Deploy, Story: p.telling, At: at, Done: p.r.Now(), Text: text})
	return err
}

// install puts the program, its files and its units in their places.
func (p *proof) install(ctx context.Context) error {
	program, reload, err := p.units.program()
	if err != nil {
		return err
	}
	p.path = p.stage.path(program)
	if err := p.stage.put(p.built, p.path); err != nil {
		return err
	}
	for to, from := range p.Files {
		if err := p.stage.put(p.local(from), p.stage.path(to)); err != nil {
			return err
		}
	}
	if reload != "" && reload != program {
		if err := p.installReload(ctx, reload); err != nil {
			return err
		}
	}
	if u, ok := p.units.last("User"); ok {
		if err := p.stage.user(ctx, u.value); err != nil {
			return err
		}
	}
	for _, f := range p.units.files {
		if ext := path.Ext(f.Name); ext != ".service" && ext != ".socket" && ext != ".conf" {
			continue // a .path or .timer unit would upgrade or start the service by itself
		}
		if err := p.stage.Install(ctx, f.Name, p.stage.adapt(f.Name, f.Text)); err != nil {
			return fmt.Errorf("%s does not fit the %s: %w", f.Name, p.stage.name(), err)
		}
	}
	return nil
}

// installReload provides the program of ExecReload= if it is another one than the daemon.
func (p *proof) installReload(ctx context.Context, reload string) error {
	if p.stage.has(ctx, reload) || p.stage.has(ctx, p.stage.path(reload)) {
		return nil
	}
	if path.Base(reload) != "cutover-reload" {
		return fmt.Errorf("%s: there is no such program on the test machine; Daemon.Files can bring it", p.units.says("ExecReload"))
	}
	built, err := p.goBuild(ctx, p.Dir, reloadCommand, "cutover-reload", "-mod=mod")
	if err != nil {
		return err
	}
	return p.stage.put(built, p.stage.path(reload))
}
