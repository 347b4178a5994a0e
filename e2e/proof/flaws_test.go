package proof_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/proof"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A flawed daemon makes a story fail, and others only for the reasons that the table has.
type flawed struct {
	name    string
	args    string      // of the daemon
	service [][2]string // lines of the unit and what they become
	socket  bool        // whether there is a .socket unit
	slow    time.Duration
	fails   string            // the story that must fail
	says    []string          // parts of the reason that the story gives
	also    map[string]string // other stories that must fail, and why
	may     map[string]string // stories that fail or pass, and why
	always  bool              // also without -full
	manager proof.Manager     // "" is a real systemd
}

// checked is why the story about the units fails beside another one.
const checked = "sdunits check reads the same line"

// upgraded is why the stories fail that upgrade to a program that dies.
const upgraded = "it upgrades to this program, too"

var flaws = []flawed{
	{
		name: "a drain that systemd cuts", socket: true, service: [][2]string{{"TimeoutStopSec=45s", "TimeoutStopSec=3s"}},
		fails: proof.StoryUnits, says: []string{"daemon.service:", "TimeoutStopSec=3s", "[stop-timeout]"},
	},
	{
		name: "a process that ends as soon as it is replaced", socket: true, args: `-delay 50ms -flaw "exits when replaced"`, always: true,
		fails: proof.StoryReload, says: []string{"requests were lost", string(record.Draining), "Likely cause: "},
		also: map[string]string{proof.StoryGrowth: "each of the upgrades loses requests"},
		may: map[string]string{
			proof.StoryOldDies: "the requests are lost with the old process, before it is killed or with the kill, which excuses them",
			proof.StoryNewDies: "as above",
		},
	},
	{
		name: "a process that dies once it serves", socket: true, args: `-flaw crashes`, always: true, manager: proof.Embedded,
		fails: proof.StoryReload, says: []string{"has died after the upgrade", `the program crashes ("panic: a flaw of this program`},
		also: map[string]string{proof.StorySlow: upgraded, proof.StoryOldDies: upgraded},
		may: map[string]string{
			proof.StoryNewDies: "the process crashes before the kill or with it",
			proof.StoryGrowth:  "the next upgrade may come before the request at which the process crashes",
		},
	},
	{
		name: "a reload by a signal", socket: true, always: true,
		service: [][2]string{{"ExecReload=/usr/local/bin/daemon reload", "ExecReload=/bin/kill -HUP $MAINPID"}},
		fails:   proof.StoryBroken, says: []string{"succeeded", "daemon.service:10: ExecReload=/bin/kill -HUP $MAINPID"},
		also: map[string]string{proof.StoryHang: "a signal has no result, whatever the new program does", proof.StoryUnits: checked},
	},
	{
		name: "a successor that gets no time", socket: true, args: "-ready 5s", slow: 9 * time.Second,
		fails: proof.StorySlow, says: []string{"that starts 9s late failed", "ReadyTimeout"},
	},
	{
		name: "a reload without an end", socket: true, args: "-ready 1h", service: [][2]string{{"TimeoutStartSec=30s", "TimeoutStartSec=infinity"}},
		fails: proof.StoryHang, says: []string{"did not end", "ReadyTimeout", "TimeoutStartSec=infinity"},
	},
	{
		name: "a service that is not restarted", service: [][2]string{{"Restart=on-failure", "Restart=no"}},
		fails: proof.StoryKill, says: []string{"no other one serves", "daemon.service:", "Restart=no"},
		also: map[string]string{
			proof.StoryNewDies: "systemd has to start the next process", proof.StoryCrashLoop: "as above", proof.StoryUnits: checked,
		},
	},
	{
		name: "a process that ends with its predecessor", socket: true, args: "-flaw tied",
		fails: proof.StoryOldDies, says: []string{"After the death of the draining process", "daemon.service:"},
	},
	{
		name: "a replaced process that does not end", socket: true, args: "-flaw lingers",
		fails: proof.StoryNewDies, says: []string{"no other one serves", "does not end at SIGTERM"},
	},
	{
		name: "a process that ends at SIGTERM", socket: true, args: `-delay 50ms -flaw "exits at SIGTERM"`,
		fails: proof.StoryRestart, says: []string{"between the stop of the old process", "SIGTERM"},
	},
	{
		name: "a start limit", socket: true, service: [][2]string{{"StartLimitIntervalSec=0", ""}},
		fails: proof.StoryCrashLoop, says: []string{"no other one serves", "daemon.service has no StartLimitIntervalSec="},
	},
	{
		name: "a file for each generation", socket: true, args: `-flaw "keeps a file"`,
		fails: proof.StoryGrowth, says: []string{"descriptors from", "/etc/passwd"},
	},
}

// With -full each flaw is told all stories, and the others must pass.
func TestAFlawMakesItsStoryFail(t *testing.T) {
	for _, f := range flaws {
		t.Run(f.name, func(t *testing.T) {
			if !f.always && !*full {
				t.Skip("-full tells it")
			}
			t.Parallel() // as the examples
			stories := []string{f.fails}
			if *full {
				stories = nil
			}
			f.check(t, f.tell(t, stories))
		})
	}
}

// tell tells stories, nil for all, to the daemon.
func (f flawed) tell(t *testing.T, stories []string) *record.Report {
	t.Helper()
	probe := proof.HTTP("http://localhost:8080/")
	probe.Rate = 60 // several machines run at the same time
	r, err := proof.Prove(t.Context(), proof.Daemon{
		Binary: daemon(t), Units: f.units(t), Probe: probe, Manager: f.manager, Systemd: *version,
		Stories: stories, Slow: f.slow, Patience: 40 * time.Second, Log: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// check compares the verdicts with those of the table.
func (f flawed) check(t *testing.T, r *record.Report) {
	t.Helper()
	for _, s := range r.Stories {
		why, also := f.also[s.Name]
		either, may := f.may[s.Name]
		want := also || s.Name == f.fails
		t.Logf("%-40s %-8s %s", s.Name, s.Verdict, why+either)
		if s.Name == f.fails {
			t.Log(s.Reason)
		}
		if failed := s.Verdict == record.Failed; failed != want && !may {
			t.Errorf("the story %q is %s, want failed: %v\n%s", s.Name, s.Verdict, want, s.Reason)
		}
		for _, text := range f.says {
			if s.Name == f.fails && !strings.Contains(s.Reason, text) {
				t.Errorf("the reason lacks %q: %s", text, s.Reason)
			}
		}
	}
}

// units writes the units with the flaw.
func (f flawed) units(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"daemon.service", "daemon.socket"} {
		text, err := os.ReadFile(filepath.Join("testdata/units", name))
		if err != nil {
			t.Fatal(err)
		}
		lines := string(text)
		if name == "daemon.service" {
			lines = strings.Replace(lines, "ExecStart=/usr/local/bin/daemon", "ExecStart=/usr/local/bin/daemon "+f.args, 1)
			if !f.socket {
				lines = strings.NewReplacer("Requires=daemon.socket\n", "", "After=daemon.socket\n", "").Replace(lines)
			}
		} else if !f.socket {
			continue
		}
		for _, change := range f.service {
			lines = strings.Replace(lines, change[0], change[1], 1)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(lines), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "daemon")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-ldflags", "-s -w", "-o", path, "./testdata/daemon")
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the daemon: %w\n%s", err, out)
	}
	return path, nil
})

// daemon returns the path of the daemon in testdata.
func daemon(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
