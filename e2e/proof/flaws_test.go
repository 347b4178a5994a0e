package proof_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/proof"
	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A flawed daemon makes stories fail.
type flawed struct {
	name    string
	args    string      // of the daemon
	service [][2]string // lines of the unit and what they become
	socket  bool        // whether there is a .socket unit
	slow    time.Duration
	fails   []string // the stories that must fail, and no others
	says    []string // of the first of them
	always  bool     // also without -full
}

var flaws = []flawed{
	{
		name: "a drain that systemd cuts", socket: true, service: [][2]string{{"TimeoutStopSec=45s", "TimeoutStopSec=3s"}},
		fails: []string{proof.StoryUnits}, says: []string{"daemon.service:", "TimeoutStopSec=3s", "[stop-timeout]"},
	},
	{
		name: "a process that ends as soon as it is replaced", socket: true, args: `-delay 50ms -flaw "exits when replaced"`, always: true,
		fails: []string{proof.StoryReload}, says: []string{"requests were lost", string(record.Draining), "Likely cause: "},
	},
	{
		name: "a reload by a signal", socket: true, always: true,
		service: [][2]string{{"ExecReload=/usr/local/bin/daemon reload", "ExecReload=/bin/kill -HUP $MAINPID"}},
		fails:   []string{proof.StoryBroken, proof.StoryHang, proof.StoryUnits}, says: []string{"succeeded", "daemon.service:10: ExecReload=/bin/kill -HUP $MAINPID"},
	},
	{
		name: "a successor that gets no time", socket: true, args: "-ready 5s", slow: 9 * time.Second,
		fails: []string{proof.StorySlow}, says: []string{"that starts 9s late failed", "ReadyTimeout"},
	},
	{
		name: "a reload without an end", socket: true, args: "-ready 1h", service: [][2]string{{"TimeoutStartSec=30s", "TimeoutStartSec=infinity"}},
		fails: []string{proof.StoryHang}, says: []string{"did not end", "ReadyTimeout", "TimeoutStartSec=infinity"},
	},
	{
		name: "a service that is not restarted", service: [][2]string{{"Restart=on-failure", "Restart=no"}},
		fails: []string{proof.StoryKill, proof.StoryNewDies, proof.StoryCrashLoop, proof.StoryUnits}, says: []string{"no other one serves", "daemon.service:", "Restart=no"},
	},
	{
		name: "a process that ends with its predecessor", socket: true, args: "-flaw tied",
		fails: []string{proof.StoryOldDies}, says: []string{"After the death of the draining process", "daemon.service:"},
	},
	{
		name: "a replaced process that does not end", socket: true, args: "-flaw lingers",
		fails: []string{proof.StoryNewDies}, says: []string{"no other one serves", "does not end at SIGTERM"},
	},
	{
		name: "a process that ends at SIGTERM", socket: true, args: `-delay 50ms -flaw "exits at SIGTERM"`,
		fails: []string{proof.StoryRestart}, says: []string{"between the stop of the old process", "SIGTERM"},
	},
	{
		name: "a start limit", socket: true, service: [][2]string{{"StartLimitIntervalSec=0", ""}},
		fails: []string{proof.StoryCrashLoop}, says: []string{"no other one serves", "daemon.service has no StartLimitIntervalSec="},
	},
	{
		name: "a file for each generation", socket: true, args: `-flaw "keeps a file"`,
		fails: []string{proof.StoryGrowth}, says: []string{"descriptors from", "/etc/passwd"},
	},
}

// others are told as well with -full: a flaw must not make them fail.
var others = []string{proof.StoryUnits, proof.StoryReload, proof.StoryKill, proof.StoryRestart}

func TestAFlawMakesItsStoryFail(t *testing.T) {
	for _, f := range flaws {
		t.Run(f.name, func(t *testing.T) {
			if !f.always && !*full {
				t.Skip("-full tells it")
			}
			t.Parallel() // as the examples
			stories := []string{f.fails[0]}
			if *full {
				stories = slices.DeleteFunc(proof.Names(), func(name string) bool {
					return !slices.Contains(f.fails, name) && !slices.Contains(others, name)
				})
			}
			f.check(t, f.tell(t, stories))
		})
	}
}

// tell tells stories, nil for all, to the daemon.
func (f flawed) tell(t *testing.T, stories []string) *record.Report {
	t.Helper()
	r, err := proof.Prove(t.Context(), proof.Daemon{
		Binary: daemon(t), Units: f.units(t), Probe: proof.HTTP("http://localhost:8080/"), Systemd: *version,
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
	reasons := map[string]string{}
	for _, s := range r.Failed() {
		reasons[s.Name] = s.Reason
		t.Logf("%s: %s", s.Name, s.Reason)
		if !slices.Contains(f.fails, s.Name) {
			t.Errorf("the story %q fails, too", s.Name)
		}
	}
	for _, s := range r.Stories {
		if s.Verdict != record.Failed && slices.Contains(f.fails, s.Name) {
			t.Errorf("the story %q is %s, want a failure", s.Name, s.Verdict)
		}
	}
	for _, text := range f.says {
		if !strings.Contains(reasons[f.fails[0]], text) {
			t.Errorf("the reason lacks %q", text)
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
