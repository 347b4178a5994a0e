package reexec

import (
	"sync/atomic"

	"github.com/cutover-go/cutover/reexec/internal/program"
	"github.com/cutover-go/cutover/reexec/internal/startup"
)

// launch is the start of this process, on which the start of a successor depends.
type launch struct {
	generation int
	program    program.Command // path and arguments
	workDir    startup.WorkDir
	environ    startup.Environ
	version    func() string // of the program's module, "" if the go command recorded none
	parent     int           // pid of our parent at the start: the manager, if there is one
	inPlace    bool          // an upgrade executes the new program in this process
	asking     atomic.Bool   // a call of Options.Next has not returned
}
