package main

import "testing"

func TestEmbeddedManagerGetsUnitsOfItsOwn(t *testing.T) {
	e := embedded{binary: "/tmp/x/cutover-http"}
	for _, tt := range []struct{ unit, want string }{
		{"ListenStream=127.0.0.1:8080\nBacklog=4096\n", "ListenStream=127.0.0.1:0\nBacklog=4096\n"},
		{"ExecReload=" + binaryPath + " reload\n", "ExecReload=/tmp/x/cutover-http reload\n"},
	} {
		if got := e.adapt(tt.unit); got != tt.want {
			t.Errorf("adapt(%q) = %q, want %q", tt.unit, got, tt.want)
		}
	}
}
