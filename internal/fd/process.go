package fd

// Spawn describes a program to start.
type Spawn struct {
	Path string
	Args []string // with argv[0]
	Dir  string
	Env  []string

	// Line becomes descriptor 3 of the program, beside the standard three, which
	// it shares with us. It stays the caller's.
	Line *FD

	// Sibling makes the program a child of our parent instead of ours, as
	// CLONE_PARENT of clone(2): a service manager supervises only its children well. A process that is PID 1 of its namespace cannot do that (EINVAL).
	Sibling bool
}

// LineNumber is the descriptor at which a spawned program finds Spawn.Line.
const LineNumber = 3
