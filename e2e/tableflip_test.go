package e2e

import "testing"

// TestProgramsOfTableflipLoseNothing upgrades the examples for HTTP in the documentation of
// tableflip in the unit of that documentation, and in one with a reload that reports failures.
// The old process finishes its requests before it exits.
func TestProgramsOfTableflipLoseNothing(t *testing.T) {
	t.Parallel()
	const documented, notify = `[Service]
ExecStart=/usr/local/bin/cutover-http -listen 127.0.0.1:8080 -pid-file /run/flip.pid -shutdown=`, `[Service]
Type=notify
NotifyAccess=main
ExecReload=+/usr/local/bin/cutover-reload
TimeoutStopSec=45s
FileDescriptorStoreMax=64
ExecStart=/usr/local/bin/cutover-http -listen 127.0.0.1:8080 -shutdown=`
	const pidFile = "\nExecReload=/bin/kill -HUP $MAINPID\nPIDFile=/run/flip.pid\n"
	s := newSite(t)
	s.must(s.machine.CopyFile(program(t, "../reexec/cmd/cutover-reload", "v1"), "/usr/local/bin/cutover-reload"))
	if out := s.command("sh", "-c", "test -x /bin/kill || echo none"); out != "" { // a tree of e2e/roots
		s.must(s.machine.WriteFile("/bin/kill", []byte("#!/bin/sh\nkill \"$@\"\n"), 0o755))
	}
	for _, u := range []struct {
		name, text string
		short      bool
	}{
		{"the unit of tableflip", documented + "false" + pidFile, true},
		{"the unit of tableflip, with Shutdown", documented + "true" + pidFile, false},
		{"Type=notify", notify + "false\n", false},
		{"Type=notify, with Shutdown", notify + "true\n", true},
	} {
		if !u.short && !thorough() {
			continue
		}
		t.Run(u.name, func(t *testing.T) { s.in(t).tableflip(u.text) })
	}
}

// tableflip goes through four upgrades under load with the unit text.
func (s *site) tableflip(text string) {
	s.Helper()
	s.install(unitName, text)
	s.start(program(s.TB, "./testdata/flip", "v1"))
	defer func() { s.must(s.machine.Stop(s.ctx, unitName)) }()
	s.awaitServer() // a unit with PIDFile= does not wait for it
	run := s.load(lightFresh, light[2])
	for i := range 4 {
		version := []string{"v2", "v1"}[i%2]
		s.deploy(program(s.TB, "./testdata/flip", version))
		s.must(s.machine.Reload(s.ctx, unitName))
		s.awaitMain(version)
		s.pass(20)
	}
	s.nothingLost(run)
	s.awaitAlone()
	if n := s.show("NRestarts"); n != "0" {
		s.Errorf("NRestarts=%s, want 0", n)
	}
}

func (s *site) awaitServer() {
	s.Helper()
	for s.ctx.Err() == nil {
		if _, err := s.tryGet("/"); err == nil {
			return
		}
	}
	s.Fatal("the server does not answer")
}
