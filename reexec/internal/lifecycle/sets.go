package lifecycle

// set is a set of states, one bit for each. The sets are constants, because the compiler can lay
// out the rules as data only if their sets are.
type set uint32

// The sets of one state.
const (
	inStarting     set = 1 << Starting
	inInitialising set = 1 << Initialising
	inRecovering   set = 1 << Recovering
	inWaiting      set = 1 << Waiting
	inRestoring    set = 1 << Restoring
	inAccepting    set = 1 << Accepting
	inAdopting     set = 1 << Adopting
	inServing      set = 1 << Serving
	inBeginning    set = 1 << Beginning
	inPreparing    set = 1 << Preparing
	inSwitching    set = 1 << Switching
	inTrial        set = 1 << Trial
	inCommitting   set = 1 << Committing
	inQuiescing    set = 1 << Quiescing
	inSaving       set = 1 << Saving
	inUndoing      set = 1 << Undoing
	inDraining     set = 1 << Draining
	inWatching     set = 1 << Watching
	inFailback     set = 1 << Failback
	inStopping     set = 1 << Stopping
	inEnded        set = 1 << Ended

	every set = 1<<NumStates - 1
)

// Groups of states, in the order in which a generation passes them.
const (
	unready   = inStarting | inInitialising | inRecovering
	young     = inWaiting | inRestoring | inAccepting | inAdopting            // ready, not the main process
	handing   = inPreparing | inSwitching | inTrial                           // a successor is there, and the upgrade can be undone
	busy      = inBeginning | inPreparing | inSwitching | inTrial | inUndoing // an upgrade that is not committed
	after     = inDraining | inWatching | inFailback | inStopping | inEnded   // no further upgrade can begin
	finishing = inDraining | inWatching | inStopping | inEnded                // the work of this generation ends for good
)

func (s set) has(x State) bool { return s&(1<<x) != 0 }
