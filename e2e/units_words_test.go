package e2e

import (
	"strconv"
	"strings"
	"syscall"

	"github.com/cutover-go/cutover/units"
)

// failuresToTell are faults of units by which systemd accepts messages of a wrong process,
// or gets a message too late.
var failuresToTell = []mishap{
	{rule: "notify-access-all", dropIn: "[Service]\nNotifyAccess=all\nTimeoutStopSec=1s\nRestart=no\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		// A helper, as the program might have started one.
		s.run("sh", "-c", "for f in $(find /sys/fs/cgroup -path '*/"+unitName+"/cgroup.procs'); do echo $$ > $f; done; "+
			"NOTIFY_SOCKET=/run/systemd/notify systemd-notify STOPPING=1; true")
		for s.ctx.Err() == nil && s.show("MainPID") != "0" {
			s.wait()
		}
		if r := s.show("Result"); r != "timeout" {
			s.Errorf("Result=%s, want the service stopped, and killed since it did not know", r)
		}
	}},
	{rule: "pid-file", dropIn: "[Service]\nPIDFile=/run/cutover-test.pid\n", happens: func(s *site) {
		defer s.run("rm", "-f", "/run/cutover-test.pid")
		s.must(s.machine.Start(s.ctx, unitName))
		first := s.mainPID()
		long := s.background("/sleep?d=3s")
		s.must(s.machine.WriteFile("/run/cutover-test.pid", []byte(strconv.Itoa(first)+"\n"), 0o644)) // of an earlier life
		s.must(s.machine.Reload(s.ctx, unitName))
		if pid, a := s.mainPID(), s.get("/"); pid != first || a.pid == first {
			s.Errorf("after the upgrade MainPID=%d, %+v answers, want the predecessor %d still the main process", pid, a, first)
		}
		<-long
		for s.ctx.Err() == nil && s.mainPID() == first {
			s.wait()
		}
		if state := s.show("ActiveState"); state != "deactivating" && state != "inactive" {
			s.Errorf("after the drain ActiveState=%s, want the service stopped with its predecessor", state)
		}
	}},
	{rule: "watchdog", dropIn: "[Service]\nWatchdogSec=4s\nRestart=no\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		long := s.background("/sleep?d=30s")
		s.must(s.machine.Reload(s.ctx, unitName))
		successor := s.mainPID()
		s.must(s.machine.Signal(successor, syscall.SIGSTOP)) // as a machine out of breath does for a while
		if a := <-long; a.err == nil {
			s.Errorf("what the predecessor had in work is answered: %+v", a)
		}
		_ = s.machine.Signal(successor, syscall.SIGCONT) // it may be gone already
		if r := s.show("Result"); r != "watchdog" {
			s.Errorf("Result=%s, want watchdog", r)
		}
	}},
	{rule: "start-timeout", dropIn: "[Service]\nTimeoutStartSec=4s\nRestart=no\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.CopyFile(example(s, "v2"), "/usr/local/bin/cutover-v2"))
		s.deploy(script(s, 0o755, `[ "$1" = reload ] || sleep 5; exec /usr/local/bin/cutover-v2 "$@"`))
		s.must(s.machine.Reload(s.ctx, unitName))
		if a := s.get("/"); a.version != "v2" {
			s.Errorf("%+v answers, want an upgrade that waits", a)
		}
		if err := s.machine.Restart(s.ctx, unitName); err == nil || s.show("Result") != "timeout" {
			s.Errorf("restart: %v, Result=%s, want a timeout", err, s.show("Result"))
		}
	}},
	{rule: "exec-reload-async", until: 258, dropIn: "[Service]\nExecReload=\nExecReload=/bin/sh -c 'kill -HUP $MAINPID'\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.deploy("/bin/false")
		main := s.mainPID()
		s.must(s.machine.Signal(main, syscall.SIGSTOP)) // else its RELOADING=1 might come in time
		if err := s.machine.Reload(s.ctx, unitName); err != nil {
			s.Errorf("reload of a program that does not run: %v, want success", err)
		}
		s.must(s.machine.Signal(main, syscall.SIGCONT))
	}},
	{rule: "notify-reload-twice", since: 253, until: 258, dropIn: "[Service]\nType=notify-reload\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		err := s.machine.Reload(s.ctx, unitName) // the result is not certain
		for s.ctx.Err() == nil && s.show("ActiveState") != "active" {
			s.wait()
		}
		if a := s.get("/"); err == nil && a.generation != 3 || err != nil && a.generation == 1 {
			s.Errorf("reload: %v, and %+v answers; want two upgrades, or one beside a failure", err, a)
		}
	}},
	{rule: "send-sigkill", change: selfBound, dropIn: "[Service]\nSendSIGKILL=no\nTimeoutStopSec=500ms\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		long := s.background("/sleep?d=4s")
		s.must(s.machine.Stop(s.ctx, unitName))
		if err := s.machine.Start(s.ctx, unitName); err == nil {
			s.Error("it starts beside what is left over")
		}
		<-long
	}},
}

// failuresToHold are of units that leave too little room for descriptors and clients.
var failuresToHold = []mishap{
	{rule: "fd-store-small", until: 253, change: bindsTwo, dropIn: "[Service]\nFileDescriptorStoreMax=1\n", happens: func(s *site) {
		s.deploy(server(s, "v1"))
		s.must(s.machine.Start(s.ctx, unitName))
		if a := s.get("/notes?add=kept"); a.rest != "notes=kept" {
			s.Fatalf("%+v answers", a)
		}
		s.must(s.machine.Restart(s.ctx, unitName))
		if a := s.get("/notes"); a.rest != "notes=" {
			s.Errorf("after the restart %+v, want the second descriptor lost", a)
		}
		log, err := s.machine.Log(s.ctx, unitName)
		s.must(err)
		if !strings.Contains(log, "Cannot store more fds") {
			s.Error("the journal does not say so")
		}
	}},
	{rule: "fd-store-small", since: 254, change: bindsTwo, dropIn: "[Service]\nFileDescriptorStoreMax=1\n", happens: func(s *site) {
		s.deploy(server(s, "v1"))
		s.must(s.machine.Start(s.ctx, unitName))
		if a, err := s.tryGet("/notes?add=kept"); err == nil || !strings.Contains(err.Error(), "raise FileDescriptorStoreMax=") {
			s.Errorf("saving the note: %+v, %v, want an error that names FileDescriptorStoreMax=", a, err)
		}
		if status := s.show("StatusText"); !strings.Contains(status, "raise FileDescriptorStoreMax=") {
			s.Errorf("StatusText=%s, want FileDescriptorStoreMax= in it", status)
		}
		s.must(s.machine.Restart(s.ctx, unitName))
		if a := s.get("/notes"); a.rest != "notes=" {
			s.Errorf("after the restart %+v, want no note", a)
		}
	}},
	{rule: "socket-backlog", dropIn: "[Socket]\nBacklog=16\n", happens: func(s *site) {
		s.must(s.machine.Start(s.ctx, unitName))
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGSTOP))
		if n := s.queue(100); n > 60 {
			s.Errorf("%d of 100 clients are in the queue, want about 17", n) // those on their way at once get in
		}
		s.must(s.machine.Signal(s.mainPID(), syscall.SIGKILL))
	}},
}

// bindsTwo has the daemon bind its socket and state that it leaves a second descriptor in the fd store.
func bindsTwo(d *units.Daemon) {
	selfBound(d)
	d.Binds = 2
}
