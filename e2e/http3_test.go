package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"syscall"
	"testing"
)

// TestHTTP3UpgradesLoseNothing has clients of examples/http3 ask through reloads.
// QUIC connections stay with their generation, which ends when its clients have left.
func TestHTTP3UpgradesLoseNothing(t *testing.T) {
	t.Parallel()
	modulesToo(t)
	s := newSite(t)
	const folder, service, path = "../examples/http3", "cutover-http3.service", "/usr/local/bin/cutover-http3"
	for _, name := range []string{"cutover-http3.socket", service} {
		text, err := os.ReadFile(folder + "/units/" + name)
		s.must(err)
		s.install(name, string(text))
	}
	s.must(s.machine.CopyFile(programOf(t, folder, ".", "v1"), path))
	s.must(s.machine.CopyFile(programOf(t, folder, "./load", "v1"), "/usr/local/bin/load"))
	s.must(s.machine.Start(s.ctx, service))
	pid := func() string {
		v, err := s.machine.Show(s.ctx, service, "MainPID")
		s.must(err)
		return v
	}
	type result struct {
		Requests    int64
		Generations map[string]int64
		Dials       int64
		Lost        []string
	}
	var out, problems bytes.Buffer
	load := s.machine.Command(s.ctx, "/usr/local/bin/load", "-clients", "4", "-streams", "2")
	load.Stdout, load.Stderr = &out, &problems
	s.must(load.Start())
	for i := range *upgrades {
		before := pid()
		s.must(s.machine.CopyFile(programOf(t, folder, ".", []string{"v2", "v1"}[i%2]), path))
		s.must(s.machine.Reload(s.ctx, service))
		if now := pid(); now == before {
			t.Fatalf("upgrade %d: MainPID is %s, as before", i+1, now)
		}
		var now result
		s.must(json.Unmarshal([]byte(s.command("/usr/local/bin/load", "-clients", "1", "-streams", "1", "-requests", "50")), &now))
		if newest := strconv.Itoa(i + 2); len(now.Generations) != 1 || now.Generations[newest] == 0 {
			t.Errorf("a new client has answers by %v, want generation %s", now.Generations, newest)
		}
	}
	s.must(load.Process.Signal(syscall.SIGTERM))
	err := load.Wait()
	var r result
	s.must(json.Unmarshal(out.Bytes(), &r))
	t.Logf("%d requests by %d generations, %d connections", r.Requests, len(r.Generations), r.Dials)
	if err != nil || len(r.Lost) > 0 || len(r.Generations) <= *upgrades/2 { // some are replaced before the clients move on
		t.Errorf("%v, %s; lost %q, answers by %v", err, problems.String(), r.Lost, r.Generations)
	}
	s.must(s.machine.Stop(s.ctx, service))
	if result, err := s.machine.Show(s.ctx, service, "Result"); err != nil || result != "success" {
		t.Errorf("Result=%s after the stop, %v", result, err)
	}
}
