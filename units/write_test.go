package units_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/cutover-go/cutover/internal/unitfile"
	"github.com/cutover-go/cutover/units"
)

// anyDaemon has a value in every field, so that nothing is left to a default.
func anyDaemon(r *rand.Rand) units.Daemon {
	word := func() string {
		const chars = `abcXYZ019 -_./%$"'\;#[]=`
		b := []byte{'w'}
		for range r.IntN(8) {
			b = append(b, chars[r.IntN(len(chars))])
		}
		return string(append(b, 'w'))
	}
	span := func() time.Duration { return time.Duration(1+r.IntN(100000)) * time.Millisecond }
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	drain := span()
	d := units.Daemon{
		Name: fmt.Sprintf("app-%d", r.IntN(100)), Description: word(), Binary: "/" + strings.ReplaceAll(word(), `\`, "") + "/x",
		Reload: []string{word(), word()}, User: pick("", "root", "www-data"), Network: r.IntN(2) == 0, Watch: r.IntN(2) == 0,
		Hardening:    units.Hardening(pick("none", "standard", "strict")),
		ReadyTimeout: span(), Trial: span(), Drain: drain, StopDrain: drain, Systemd: 247 + r.IntN(20), Binds: r.IntN(100), Conns: r.IntN(2) * r.IntN(9000),
	}
	d.Binary = filepath.Clean(d.Binary)
	if r.IntN(2) == 0 {
		d.StopDrain = time.Duration(1+r.IntN(int(drain.Milliseconds()))) * time.Millisecond
	}
	d.SoftReboot = d.Systemd >= 254 && r.IntN(2) == 0
	if r.IntN(4) == 0 {
		d.Reload, d.ReloadCommand = nil, filepath.Clean("/"+strings.ReplaceAll(word(), `\`, "")+"/cutover-reload")
	}
	for i := range r.IntN(3) {
		d.Credentials = append(d.Credentials, fmt.Sprintf("key.%d:/%s", i, filepath.Clean(strings.ReplaceAll(word(), `\`, ""))))
	}
	for range r.IntN(3) {
		d.Args = append(d.Args, word(), "")
	}
	for i := range 1 + r.IntN(3) {
		d.Sockets = append(d.Sockets, units.Socket{Name: word() + fmt.Sprint(i), Kind: pick("Stream", "Datagram", "SequentialPacket"),
			Listen: []string{fmt.Sprint("@", word(), i), fmt.Sprint("/run/", i)}[r.IntN(2):]})
	}
	return d
}

func TestDescribeUndoesUnits(t *testing.T) {
	for seed := range uint64(500) {
		d := anyDaemon(rand.New(rand.NewPCG(seed, 0)))
		files := mustUnits(t, d)
		got, err := units.Describe(files)
		if err != nil || !reflect.DeepEqual(got, d) {
			t.Fatalf("seed %d: %v\n got %+v\nwant %+v\n%s", seed, err, got, d, files)
		}
		if again := mustUnits(t, got); !slices.Equal(again, files) {
			t.Fatalf("seed %d: written again it is\n%s\nnot\n%s", seed, again, files)
		}
		if findings := check(files); len(findings) > 0 {
			t.Fatalf("seed %d: %v in\n%s", seed, findings, files)
		}
	}
}

func TestDescribeRefusesForeignUnits(t *testing.T) {
	if d, err := units.Describe([]units.File{{Name: "a.service", Text: "[Service]\nExecStart=/bin/true\n"}}); err == nil {
		t.Errorf("described as %+v", d)
	}
}

// TestExamplesAreWritten holds the units of the examples to what is written of what
// they say of themselves.
func TestExamplesAreWritten(t *testing.T) {
	dirs, err := filepath.Glob("../examples/*/units")
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, dir := range dirs {
		files, err := units.Load("", dir)
		if err != nil {
			t.Fatal(err)
		}
		d, err := units.Describe(files)
		if err != nil {
			t.Errorf("%s: %v", dir, err)
			continue
		}
		want := mustUnits(t, d)
		for _, w := range want {
			text, err := os.ReadFile(filepath.Join(dir, w.Name))
			if err != nil || string(text) != w.Text {
				t.Errorf("%s/%s is not what `sdunits new -from %s -o %s` writes (%v)", dir, w.Name, dir, dir, err)
			}
		}
		if len(want) != len(files) {
			t.Errorf("%s has %d files, %d are written", dir, len(files), len(want))
		}
	}
}

func TestUnitsAreRightForTheVersion(t *testing.T) {
	service := func(version int) string {
		d := myapp()
		d.Systemd = version
		files := mustUnits(t, d)
		return files[0].Text + files[1].Text
	}
	for _, c := range []struct {
		line  string
		since int
		until int
	}{
		{"Backlog=4096", 247, 251},
		{"Type=notify\n", 247, 999},
	} {
		for _, version := range []int{247, 252, 254, 257, 262} {
			has, want := strings.Contains(service(version), c.line), version >= c.since && version <= c.until
			if has != want {
				t.Errorf("systemd %d: %s is there: %v, want %v", version, c.line, has, want)
			}
		}
	}
}

func TestEachSettingThatTheLibraryNeedsSaysWhy(t *testing.T) {
	text := mustUnits(t, myapp())[0].Text
	lines := strings.Split(text, "\n")
	for _, key := range []string{"Type", "ExecReload", "TimeoutStartSec", "TimeoutStopSec", "KillMode", "FileDescriptorStoreMax",
		"LimitNOFILE", "OOMPolicy", "RuntimeDirectory", "StartLimitIntervalSec", "Requires", "RestrictAddressFamilies"} {
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, key+"=") })
		if i < 1 || !strings.HasPrefix(lines[i-1], "# ") {
			t.Errorf("%s= has no reason:\n%s", key, text)
		}
	}
}

func TestUnitsRefusesWhatCannotBe(t *testing.T) {
	for want, change := range map[string]func(*units.Daemon){
		"name":            func(d *units.Daemon) { d.Name = "a b" },
		"template":        func(d *units.Daemon) { d.Name = "a@" },
		"without .socket": func(d *units.Daemon) { d.Name = "a.socket" },
		"hidden":          func(d *units.Daemon) { d.Name = ".a" },
		"absolute":        func(d *units.Daemon) { d.Binary = "myapp" },
		"control":         func(d *units.Daemon) { d.Args = []string{"a\nExecStart=/bin/evil"} },
		"254":             func(d *units.Daemon) { d.SoftReboot = true },
		"there twice":     func(d *units.Daemon) { d.Credentials = []string{"a:/a", "a:/b"} },
		"credential":      func(d *units.Daemon) { d.Credentials = []string{"a:b"} },
		"NAME:PATH":       func(d *units.Daemon) { d.Credentials = []string{"a/b:/b"} },
		"user":            func(d *units.Daemon) { d.User = "a b" },
		"hardening":       func(d *units.Daemon) { d.Hardening = "much" },
		"247":             func(d *units.Daemon) { d.Systemd = 246 },
		"drain":           func(d *units.Daemon) { d.Drain = -1 },
		"stop drain":      func(d *units.Daemon) { d.StopDrain = time.Minute },
		"sockets itself":  func(d *units.Daemon) { d.Binds = 1 << 20 },
		"connections":     func(d *units.Daemon) { d.Conns = -1 },
		"no socket":       func(d *units.Daemon) { d.Sockets, d.Binds = nil, 0 },
		"no address":      func(d *units.Daemon) { d.Sockets = []units.Socket{{Name: "a"}} },
		"without a colon": func(d *units.Daemon) { d.Sockets[0].Name = "a:b" },
		"twice":           func(d *units.Daemon) { d.Sockets = append(d.Sockets, d.Sockets[0]) },
		"both would be": func(d *units.Daemon) {
			d.Sockets = []units.Socket{{Name: "a b", Listen: []string{"1"}}, {Name: "a_b", Listen: []string{"2"}}}
		},
		"kind":      func(d *units.Daemon) { d.Sockets[0].Kind = "Netlink" },
		"backslash": func(d *units.Daemon) { d.Description = `a\` },
	} {
		d := myapp()
		change(&d)
		if files, err := d.Units(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", want, files, err)
		}
	}
}

// TestAnotherParserReadsTheSame gives what we write to go-systemd's own.
func TestAnotherParserReadsTheSame(t *testing.T) {
	files, err := units.Daemon{Name: "a", Binary: "/a b", Args: []string{`\`, "x y", "%$"}, Binds: 1, Hardening: units.Strict,
		Sockets: []units.Socket{{Name: "h%t", Listen: []string{"80", "/a%b"}}}, Watch: true}.Units()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		ours := unitfile.Parse(&unitfile.File{Name: f.Name, Text: f.Text})
		theirs, err := unit.DeserializeOptions(bytes.NewReader([]byte(f.Text)))
		if err != nil || len(theirs) != len(ours.All) || len(ours.Ignored) > 0 {
			t.Fatalf("%s: %v, %d and %d options, ignored %v", f.Name, err, len(ours.All), len(theirs), ours.Ignored)
		}
		for i, o := range theirs {
			if a := ours.All[i]; a.Section != o.Section || a.Key != o.Name || a.Value != o.Value {
				t.Errorf("%s:%d: [%s] %s=%s, go-systemd has %v", f.Name, a.Line, a.Section, a.Key, a.Value, o)
			}
		}
	}
}
