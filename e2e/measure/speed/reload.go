package speed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// A reload is a way to reload a service.
type reload struct {
	name    string
	harden  units.Hardening
	user    string // "" for a dynamic user, for whom systemd makes mounts
	command bool   // by cutover-reload
}

var reloadKinds = []reload{
	{"no sandbox, user nobody", units.None, "nobody", false}, {"no sandbox, user nobody, cutover-reload", units.None, "nobody", true},
	{"no sandbox", units.None, "", false}, {"no sandbox, cutover-reload", units.None, "", true},
	{"strict", units.Strict, "", false}, {"strict, cutover-reload", units.Strict, "", true},
}

// reloads measures `systemctl reload` beyond a reload of nothing. The unit is the start of the
// server's program beyond that of /bin/true.
func (b *bench) reloads(ctx context.Context) error {
	if err := machine.Available(); err != nil {
		b.absent = append(b.absent, fmt.Sprintf("systemctl reload: %v", err))
		return nil
	}
	if err := errors.Join(b.build(ctx, "cutover-reload", "reexec/cmd/cutover-reload"), b.build(ctx, "least", "e2e/testdata/least")); err != nil {
		return err
	}
	m, err := machine.Boot(ctx, machine.Options{})
	if err != nil {
		return err
	}
	defer m.Close()
	if err := b.install(ctx, m); err != nil {
		return err
	}
	return b.timeReloads(ctx, m)
}

func (b *bench) install(ctx context.Context, m *machine.Machine) error {
	for _, program := range []string{"speed", "cutover-reload", "least"} {
		if err := m.CopyFile(b.path(program), "/usr/bin/"+program); err != nil {
			return err
		}
	}
	const nothing = "[Service]\nExecStart=/bin/sleep infinity\n"
	err := errors.Join(
		m.Install(ctx, "speed-nothing.service", nothing+"ExecReload=/bin/true\n"),
		m.Install(ctx, "speed-user.service", nothing+"ExecReload=+/bin/true\nDynamicUser=yes\nRuntimeDirectory=speed-user\n"),
		m.Start(ctx, "speed-nothing.service"),
		m.Start(ctx, "speed-user.service"),
		m.Install(ctx, "speed-least.socket", "[Socket]\nListenStream=127.0.0.1:8199\nFileDescriptorName=http\n"),
		m.Install(ctx, "speed-least.service", "[Unit]\nRequires=speed-least.socket\nAfter=speed-least.socket\n[Service]\nType=notify\nExecStart=/usr/bin/speed -mode least\nExecReload=/usr/bin/least\n"),
		m.Start(ctx, "speed-least.service"))
	for i, k := range reloadKinds {
		d := units.Daemon{Name: fmt.Sprintf("speed-%d", i), Binary: "/usr/bin/speed", Hardening: k.harden, User: k.user,
			Sockets: []units.Socket{{Name: "http", Listen: []string{fmt.Sprintf("127.0.0.1:%d", 8100+i)}}}}
		if k.command {
			d.ReloadCommand = "/usr/bin/cutover-reload"
		}
		files, ferr := d.Units()
		err = errors.Join(err, ferr)
		for _, f := range files {
			err = errors.Join(err, m.WriteFile("/etc/systemd/system/"+f.Name, []byte(f.Text), 0o644))
		}
		err = errors.Join(err, m.DaemonReload(ctx))
		err = errors.Join(err, m.Start(ctx, d.Name+".service"))
	}
	return err
}

// settle is the time before a reload in which the one before leaves: its old process exits, and
// the kernel removes mount namespaces.
const settle = 100 * time.Millisecond

func (b *bench) timeReloads(ctx context.Context, m *machine.Machine) error {
	commands := [][]string{{"/bin/true"}, {"/usr/bin/speed", "-mode", "hello"}, {"systemctl", "reload", "speed-nothing"}, {"systemctl", "reload", "speed-least"}, {"systemctl", "reload", "speed-user"}}
	before := len(commands)
	for i := range reloadKinds {
		commands = append(commands, []string{"systemctl", "reload", fmt.Sprintf("speed-%d", i)})
	}
	took := make([][]float64, len(commands))
	for range 2 * b.rounds { // the differences are small
		for _, i := range rand.Perm(len(commands)) {
			time.Sleep(settle)
			began := time.Now()
			if out, err := m.Command(ctx, commands[i][0], commands[i][1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%v: %w\n%s", commands[i], err, out)
			}
			took[i] = append(took[i], float64(time.Since(began).Microseconds())/1000)
		}
	}
	start, nothing := median(took[1])-median(took[0]), median(took[2])
	add := func(name string, took []float64) {
		beyond := median(took) - nothing
		b.rows = append(b.rows, row{figure: fmt.Sprintf("systemctl reload, %s, beyond nothing (%.0f ms) / start of the program", name, nothing),
			ours: beyond, baseline: start, unit: "ms", ratio: beyond / start})
	}
	for i, k := range reloadKinds {
		add(k.name, took[before+i])
	}
	add("the least that an upgrade does, without a sandbox", took[before-2])
	add("nothing as the dynamic user of the units, with +", took[before-1]) // the part of systemd in these rows
	return nil
}
