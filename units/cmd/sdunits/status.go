package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cutover-go/cutover/internal/ask"
)

const statusText = `Usage: sdunits status [options] UNIT

Asks the main process of a service for its status: generation, version, sockets with
the connections that wait in their queues, older generations that still drain, and the last
upgrade. It finds the process through systemd, so no variable has to be set. It works for each
service that uses the library, as root or as the user of the service.

Exit status: 0 the service answers, 1 it does not run or does not answer, 2 wrong arguments or
no such unit.
`

// A service is the status of a service, from systemd and from its main process.
type service struct {
	Unit        string      `json:"unit"`
	ActiveState string      `json:"active_state"`
	MainPID     int         `json:"main_pid"`
	Program     string      `json:"program,omitempty"` // path of the file that the process executes
	Replaced    bool        `json:"replaced"`          // another file has that path now
	StatusText  string      `json:"status_text,omitempty"`
	Answer      *ask.Answer `json:"answer,omitempty"`
	Error       string      `json:"error,omitempty"` // reason why there is no answer
}

func status(args []string, stdout, _ io.Writer) (int, error) {
	flags := flag.NewFlagSet("status", flag.ContinueOnError)
	asJSON := flags.Bool("json", false, "print a JSON object")
	user := flags.Bool("user", false, "ask your own service manager, not the system's")
	timeout := flags.Duration("timeout", 10*time.Second, "`time` to wait for the answer")
	if err := parse(flags, statusText, args, stdout); err != nil {
		return misusage, err
	}
	if flags.NArg() != 1 {
		return misusage, misused{errors.New("one UNIT is needed")}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	s, err := lookUp(ctx, flags.Arg(0), *user)
	if err != nil {
		return misusage, err
	}
	s.ask(ctx)
	if *asJSON {
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return misusage, err
		}
		fmt.Fprintf(stdout, "%s\n", text)
	} else {
		fmt.Fprint(stdout, s)
	}
	if s.Answer == nil {
		return found, nil
	}
	return 0, nil
}

// lookUp asks systemd for the unit.
func lookUp(ctx context.Context, name string, user bool) (*service, error) {
	if path.Ext(name) != ".service" {
		name += ".service"
	}
	args := []string{"show", "--no-pager", "--property=Id,LoadState,ActiveState,MainPID,StatusText"}
	if user {
		args = append(args, "--user")
	}
	out, err := exec.CommandContext(ctx, "systemctl", append(args, "--", name)...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return nil, fmt.Errorf("systemctl show %s: %w", name, err)
	}
	properties := map[string]string{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		properties[key] = value
	}
	if properties["LoadState"] == "not-found" {
		return nil, fmt.Errorf("%s: systemd has no such unit", name)
	}
	s := &service{Unit: properties["Id"], ActiveState: properties["ActiveState"], StatusText: properties["StatusText"]}
	s.MainPID, _ = strconv.Atoi(properties["MainPID"]) // 0 without a main process
	return s, nil
}

// ask asks the main process, and looks at the file that it executes.
func (s *service) ask(ctx context.Context) {
	if s.MainPID == 0 {
		s.Error = "the service has no main process"
		return
	}
	s.program()
	pid := strconv.Itoa(s.MainPID)
	a, err := ask.Service(ctx, func(name string) (string, bool) { return pid, name == "MAINPID" }, ask.Request{Verb: ask.Status})
	switch {
	case err != nil && s.ActiveState == "activating" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)):
		s.Error = "the program has not called New yet; if that stays so, `journalctl -u " + s.Unit + "` has the reason"
	case err != nil:
		s.Error = err.Error()
	case a.Error != "":
		s.Error = a.Error
	default:
		s.Answer = &a
	}
}

// program sets Program and Replaced. They stay empty if this user may not read the link.
func (s *service) program() {
	process := "/proc/" + strconv.Itoa(s.MainPID)
	link, err := os.Readlink(process + "/exe")
	if err != nil {
		return
	}
	s.Program = strings.TrimSuffix(link, " (deleted)")
	runs, err := os.Stat(process + "/exe")
	if err != nil {
		return
	}
	there, err := os.Stat(process + "/root" + s.Program)
	s.Replaced = errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(runs, there)
}

// String is the text for an operator.
func (s *service) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "  "+format+"\n", args...) }
	fmt.Fprintf(&b, "%s: %s, main process %d\n", s.Unit, s.ActiveState, s.MainPID)
	if s.Program != "" {
		line("program       %s", s.Program)
	}
	if s.Replaced {
		line("              another file has this path now, or none: `systemctl reload %s` starts it", s.Unit)
	}
	if s.Error != "" {
		line("no answer     %s", s.Error)
	}
	if s.Answer != nil {
		answered(line, s.Answer)
	}
	if s.StatusText != "" {
		line("STATUS=       %s", s.StatusText)
	}
	return b.String()
}

// answered writes the answer of the main process.
func answered(line func(string, ...any), a *ask.Answer) {
	line("generation    %d, %s", a.Generation, a.State)
	if a.Successor != 0 {
		line("successor     process %d", a.Successor)
	}
	if d := a.Detail; d != nil {
		if d.Version != "" {
			line("version       %s", d.Version)
		}
		if d.Since != 0 {
			line("serves since  %s", moment(d.Since))
		}
		for _, s := range d.Sockets {
			text := fmt.Sprintf("%s: %s %s", s.Name, s.Network, s.Address)
			switch {
			case s.Limit == 0:
			case strings.HasPrefix(s.Network, "udp"):
				text += fmt.Sprintf(", %d of %d bytes wait", s.Waiting, s.Limit)
			default:
				text += fmt.Sprintf(", %d of %d connections wait", s.Waiting, s.Limit)
			}
			line("socket        %s", text)
		}
		switch {
		case d.Last == nil:
		case d.Last.Error == "":
			line("last upgrade  %s, done", moment(d.Last.At))
		default:
			line("last upgrade  %s, undone: %s", moment(d.Last.At), d.Last.Error)
		}
	}
	if a.Draining > 0 {
		line("draining      %d older, %d connections and other work, until %s at the latest", a.Draining, a.Held,
			time.Now().Add(time.Duration(a.Left)*time.Second).Format(time.DateTime))
	}
	if a.NotStored != "" {
		line("not stored    %s", a.NotStored)
	}
}

func moment(seconds int64) string { return time.Unix(seconds, 0).Format(time.DateTime) }
