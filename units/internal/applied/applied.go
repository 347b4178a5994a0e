// Package applied knows when systemd applies a setting of a running service or socket: with
// the next daemon-reload, or only when it starts the unit.
package applied

import (
	"slices"
	"strings"
)

// byManager are the beginnings of settings by which systemd itself acts, so that a
// daemon-reload applies them.
var byManager = []string{"Restart", "Timeout", "ExecReload", "ExecStop", "ExecStartPost", "ExecStartPre", "ExecCondition", "Kill",
	"FinalKill", "SendSIG", "OOMPolicy", "NotifyAccess", "FileDescriptorStore", "SuccessExit", "StartLimit", "TriggerLimit", "PollLimit",
	"Memory", "CPU", "IO", "Tasks", "IPAddress", "IPAccounting", "Device", "Slice", "RuntimeMax", "RuntimeDirectoryPreserve",
	"Accept", "FlushPending", "RemoveOnStop", "MaxConnections"}

// atStart are settings that begin in the same way and belong to the process.
var atStart = []string{"IOSchedulingClass", "IOSchedulingPriority", "CPUAffinity", "CPUSchedulingPolicy",
	"CPUSchedulingPriority", "CPUSchedulingResetOnFork", "MemoryDenyWriteExecute", "MemoryKSM", "KeyringMode"}

// ByManager reports whether a daemon-reload applies the setting key. An unknown setting needs
// a start.
func ByManager(key string) bool {
	begins := func(prefix string) bool { return strings.HasPrefix(key, prefix) }
	return slices.ContainsFunc(byManager, begins) && !slices.Contains(atStart, key)
}

// Patterns returns the same as extended regular expressions: a line that begins with manager
// and does not begin with start has a setting that a daemon-reload applies.
func Patterns() (manager, start string) {
	return "^(" + strings.Join(byManager, "|") + ")", "^(" + strings.Join(atStart, "|") + ")="
}
