//go:build !linux

package fd

// Process is not supported here: there is none.
type Process struct{ PID int }

// Start is not supported here.
func Start(s Spawn) (*Process, error) { return nil, unsupported("start a successor") }

// Watch is not supported here.
func Watch(pid int, pidfd *FD) (*Process, error) { return nil, unsupported("watch a process") }

// OpenOlder is not supported here.
func OpenOlder(pid int) (*Process, error) { return nil, unsupported("watch a process") }

// Over returns nil.
func (p *Process) Over() <-chan struct{} { return nil }

// Dead returns false.
func (p *Process) Dead() bool { return false }

// State returns "".
func (p *Process) State() string { return "" }

// Kill is not supported here.
func (p *Process) Kill() error { return unsupported("kill a process") }

// Dup is not supported here.
func (p *Process) Dup() (*FD, error) { return nil, unsupported("duplicate a pidfd") }

// Close does nothing.
func (p *Process) Close() error { return nil }
