package e2e

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/internal/machine"
	"github.com/cutover-go/cutover/units"
)

// adopted is a program of examples/daemons.
type adopted struct {
	name    string
	sockets []units.Socket
	drain   time.Duration // 0: the default
	kinds   []string      // of requests, besides kept and new connections
	args    []string      // of the program
	short   bool          // its story is told without -full
	before  func(*exampleSite)
	after   func(*exampleSite, counts)
}

// counts is what the client reports: requests on connections that it keeps, and on new ones.
type counts map[string]struct{ Sent, Answered int }

func socket(name, address string) []units.Socket {
	return []units.Socket{{Name: name, Listen: []string{address}}}
}

var adoptions = []adopted{
	{name: "smtp", sockets: socket("smtp", "127.0.0.1:25"), short: true, before: makeSpool, after: mailsAreInFiles},
	{name: "imap", sockets: socket("imap", "127.0.0.1:143")},
	{name: "mysql", sockets: socket("mysql", "127.0.0.1:3306"), drain: time.Hour},
	{name: "ssh", sockets: socket("ssh", "127.0.0.1:2222"), drain: time.Hour, before: makeHostKey},
	{name: "everything", sockets: []units.Socket{
		{Name: "http", Listen: []string{"127.0.0.1:8080"}}, {Name: "grpc", Listen: []string{"127.0.0.1:50051"}},
		{Name: "udp", Listen: []string{"127.0.0.1:7007"}, Kind: "Datagram"}, {Name: "metrics", Listen: []string{"127.0.0.1:9090"}},
	}, kinds: []string{"udp", "grpc", "metrics"}},
	{name: "bbolt", sockets: socket("http", "127.0.0.1:8083"), before: makeLibrary, kinds: []string{"last"}},
	{name: "mqtt", sockets: socket("mqtt", "127.0.0.1:1883"), kinds: []string{"last"}},
	{name: "turn", sockets: []units.Socket{{Name: "turn", Listen: []string{"127.0.0.1:3478"}, Kind: "Datagram"}}, drain: time.Hour, args: []string{"-idle", "10s"}, after: oldProcessesEnd},
	{name: "goproxy", sockets: socket("proxy", "127.0.0.1:3128"), drain: time.Hour},
}

// TestDaemonsUnderLoad has clients ask the servers of examples/daemons through four upgrades,
// and stops each server at the end.
func TestDaemonsUnderLoad(t *testing.T) {
	for _, d := range adoptions {
		t.Run(d.name, func(t *testing.T) {
			if !d.short {
				modulesToo(t)
			}
			eachSystemd(t, func(t *testing.T, root machine.Root) {
				e := d.install(t, root)
				defer e.end()
				e.upgradesWithoutLoss(d)
				e.stops()
			})
		})
	}
}

// install installs the program with units that sdunits would write, and starts it.
func (d adopted) install(t *testing.T, root machine.Root) *exampleSite {
	t.Helper()
	const folder = "../examples/daemons"
	client := folder // has the load of several servers
	if d.name == "everything" {
		client += "/" + d.name
	}
	// Built before the time of the story begins.
	server, loadtest := programOf(t, folder+"/"+d.name, "./after", "v1"), programOf(t, client, "./loadtest", "v1")
	e := &exampleSite{site: emptySite(t, root), unit: "cutover-" + d.name + ".service", load: "/usr/local/bin/loadtest", between: depending(4*time.Second, 300*time.Millisecond)}
	files, err := units.Daemon{
		Name: "cutover-" + d.name, Binary: "/usr/local/bin/cutover-" + d.name, Args: d.args, Sockets: d.sockets,
		User: "root", Hardening: units.None, Network: true, Drain: d.drain, StopDrain: min(d.drain, 10*time.Second),
	}.Units()
	e.must(err)
	e.put(files)
	e.must(e.machine.DaemonReload(e.ctx))
	e.must(e.machine.CopyFile(server, "/usr/local/bin/cutover-"+d.name))
	e.must(e.machine.CopyFile(loadtest, e.load))
	if d.before != nil {
		d.before(e)
	}
	e.must(e.machine.Start(e.ctx, e.unit))
	return e
}

func (e *exampleSite) upgradesWithoutLoss(d adopted) {
	e.Helper()
	var r struct {
		Counts counts
		First  []string
	}
	var addresses []string
	for _, s := range d.sockets {
		addresses = append(addresses, s.Listen...)
	}
	e.upgradesUnderLoad(4, &r, d.name, strings.Join(addresses, ","))
	e.Logf("%s: %v %q", d.name, r.Counts, r.First)
	for _, kind := range append([]string{"kept", "new"}, d.kinds...) {
		if c := r.Counts[kind]; c.Sent == 0 || c.Answered != c.Sent {
			e.Errorf("%s: %d of %d requests on %s connections were answered: %q", d.name, c.Answered, c.Sent, kind, r.First)
		}
	}
	if d.after != nil {
		d.after(e, r.Counts)
	}
}

func makeSpool(e *exampleSite) { e.command("/bin/mkdir", "-p", "/var/spool/smtp") }

func makeLibrary(e *exampleSite) { e.command("/bin/mkdir", "-p", "/var/lib/bbolt") }

func mailsAreInFiles(e *exampleSite, c counts) {
	e.Helper()
	files := strings.Fields(e.command("/bin/ls", "/var/spool/smtp"))
	if want := c["kept"].Answered + c["new"].Answered; len(files) != want {
		e.Errorf("%d mails are in files, %d were answered", len(files), want)
	}
}

// oldProcessesEnd waits until the main process is alone, long before the drain deadline of the
// others: their clients are silent.
func oldProcessesEnd(e *exampleSite, _ counts) {
	e.Helper()
	main, err := e.machine.Show(e.ctx, e.unit, "MainPID")
	e.must(err)
	group, err := e.machine.Show(e.ctx, e.unit, "ControlGroup")
	e.must(err)
	began := time.Now()
	for e.ctx.Err() == nil {
		if pids := strings.Fields(e.command("/bin/cat", "/sys/fs/cgroup"+group+"/cgroup.procs")); slices.Equal(pids, []string{main}) {
			e.Logf("the old processes have ended after %v", time.Since(began).Round(time.Second))
			return
		}
		e.pause()
	}
	e.Errorf("processes besides %s are there: %v", main, e.ctx.Err())
}

func makeHostKey(e *exampleSite) {
	e.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	e.must(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	e.must(err)
	e.must(e.machine.WriteFile("/etc/ssh/ssh_host_ed25519_key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
}
