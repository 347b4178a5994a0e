package lifecycle

import "fmt"

func (s State) String() string {
	return name(int(s), []string{
		Starting: "starting", Initialising: "initialising", Recovering: "recovering", Waiting: "waiting", Restoring: "restoring", Accepting: "accepting",
		Adopting: "adopting", Serving: "serving", Beginning: "beginning", Preparing: "preparing", Switching: "switching",
		Trial: "trial", Committing: "committing", Quiescing: "quiescing", Saving: "saving", Undoing: "undoing", Draining: "draining",
		Watching: "watching", Failback: "failback", Stopping: "stopping", Ended: "ended",
	})
}

func (e Event) String() string {
	return name(int(e), []string{
		EvReady: "ready", EvRestored: "restored", EvGo: "go", EvCommitting: "committing", EvAcknowledge: "acknowledge", EvCommitted: "committed",
		EvOrphaned: "orphaned", EvOlder: "older", EvProgress: "progress", EvUpgrade: "upgrade", EvHangup: "hangup", EvCrowded: "crowded", EvStatus: "status", EvProgram: "program", EvNotStarted: "not started",
		EvPrepared: "prepared", EvChecked: "checked", EvSaving: "saving", EvSaved: "saved", EvNotBecome: "not become", EvAccepting: "accepting", EvFailed: "failed", EvRecalled: "recalled", EvDeclined: "declined", EvGone: "gone",
		EvGoneCommitting: "gone committing", EvGoneAlone: "gone alone", EvSuccessorStops: "successor stops", EvSuperseded: "superseded",
		EvThird: "third", EvThirdMain: "third is main", EvThirdGone: "third gone", EvGoodbye: "goodbye", EvDeadline: "deadline", EvCanceled: "canceled", EvMarked: "marked", EvConfirmed: "confirmed",
		EvUnconfirmed: "unconfirmed", EvCommitFailed: "commit failed", EvStop: "stop", EvStopLate: "stop late", EvFail: "fail",
		EvOldIdle: "old work done", EvMove: "move", EvTaken: "taken", EvPauseOver: "pause over", EvReceived: "received", EvStoreAgain: "store again", EvStored: "stored", EvClose: "close",
	})
}

func name(i int, names []string) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprint(i)
}
