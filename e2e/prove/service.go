package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// A service is a unit of the manager of this machine.
type service struct{ unit string }

// find returns a service that is active and that can be reloaded.
func find(ctx context.Context, unit string) (s service, err error) {
	if !strings.Contains(unit, ".") {
		unit += ".service"
	}
	s = service{unit}
	p, err := s.show(ctx, "LoadState", "ActiveState", "CanReload", "MainPID")
	switch {
	case err != nil:
		return s, err
	case p["LoadState"] != "loaded":
		return s, fmt.Errorf("%s: LoadState=%s: systemd does not know this unit", unit, p["LoadState"])
	case p["ActiveState"] != "active":
		return s, fmt.Errorf("%s: ActiveState=%s: start it", unit, p["ActiveState"])
	case p["CanReload"] != "yes":
		return s, fmt.Errorf("%s: CanReload=%s: it has no ExecReload= and is not Type=notify-reload", unit, p["CanReload"])
	case p["MainPID"] == "0":
		return s, fmt.Errorf("%s: MainPID=0: it has no main process", unit)
	}
	return s, nil
}

// show returns properties of the unit.
func (s service) show(ctx context.Context, names ...string) (map[string]string, error) {
	text, err := systemctl(ctx, "show", "--property="+strings.Join(names, ","), "--", s.unit)
	if err != nil {
		return nil, err
	}
	properties := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[name] = value
	}
	return properties, nil
}

// pid returns the main process, 0 for none.
func (s service) pid(ctx context.Context) (int, error) {
	p, err := s.show(ctx, "MainPID")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(p["MainPID"])
}

// reload is the only action on the unit.
func (s service) reload(ctx context.Context) error {
	_, err := systemctl(ctx, "reload", "--", s.unit)
	return err
}

// systemctl runs systemctl and returns its output.
func systemctl(ctx context.Context, arg ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "systemctl", arg...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("systemctl %s: %w: %s", strings.Join(arg, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}
