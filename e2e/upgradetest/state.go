//go:build linux

package upgradetest

// A serviceState is a SubState of a service.
type serviceState string

const (
	dead        serviceState = "dead"
	startPre    serviceState = "start-pre"
	starting    serviceState = "start"
	startPost   serviceState = "start-post"
	running     serviceState = "running"
	reloading   serviceState = "reload"
	reloadSig   serviceState = "reload-signal"
	reloadNote  serviceState = "reload-notify"
	reloadPost  serviceState = "reload-post"
	stopping    serviceState = "stop"
	stopAbrt    serviceState = "stop-watchdog"
	stopTerm    serviceState = "stop-sigterm"
	stopKill    serviceState = "stop-sigkill"
	stopPost    serviceState = "stop-post"
	finalTerm   serviceState = "final-sigterm"
	finalKill   serviceState = "final-sigkill"
	failed      serviceState = "failed"
	autoRestart serviceState = "auto-restart"
	pinned      serviceState = "dead-resources-pinned"
)

// activeStates has the ActiveState of every SubState of a service.
var activeStates = map[serviceState]string{
	dead: "inactive", pinned: "inactive", failed: "failed",
	startPre: "activating", starting: "activating", startPost: "activating", autoRestart: "activating",
	running:   "active",
	reloading: "reloading", reloadSig: "reloading", reloadNote: "reloading", reloadPost: "reloading",
	stopping: "deactivating", stopAbrt: "deactivating", stopTerm: "deactivating", stopKill: "deactivating",
	stopPost: "deactivating", finalTerm: "deactivating", finalKill: "deactivating",
}

// down reports whether nothing of the service runs, nor will by itself.
func (s serviceState) down() bool { return s == dead || s == pinned || s == failed }

// ending reports whether the service is on its way down.
func (s serviceState) ending() bool { return activeStates[s] == "deactivating" }

// reloads reports whether a reload is going on.
func (s serviceState) reloads() bool { return activeStates[s] == "reloading" }

// A result is why a unit failed, or that it did not.
type result string

const (
	success       result = "success"
	badResources  result = "resources"
	badProtocol   result = "protocol"
	timedOut      result = "timeout"
	badExit       result = "exit-code"
	badSignal     result = "signal"
	coreDump      result = "core-dump"
	badWatchdog   result = "watchdog"
	startLimitHit result = "start-limit-hit"

	// Those of sockets.
	serviceLimitHit result = "service-start-limit-hit"
	triggerLimitHit result = "trigger-limit-hit"
)

// because continues systemctl's "Job for X failed".
func (r result) because() string {
	switch r {
	case badExit:
		return " because the control process exited with error code"
	case badSignal:
		return " because a fatal signal was delivered to the control process"
	case coreDump:
		return " because a fatal signal was delivered causing the control process to dump core"
	case timedOut:
		return " because a timeout was exceeded"
	case badProtocol:
		return " because the service did not take the steps required by its unit configuration"
	case badResources:
		return " because of unavailable resources or another system error"
	case startLimitHit:
		return " because start of the service was attempted too often"
	case badWatchdog:
		return " because a watchdog timeout was reached"
	}
	return ""
}
