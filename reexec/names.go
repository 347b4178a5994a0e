package reexec

import "fmt"

func (s state) String() string {
	return name(int(s), []string{
		starting: "starting", arriving: "arriving", recovering: "recovering", waiting: "waiting", restoring: "restoring", probation: "probation",
		adopting: "adopting", serving: "serving", beginning: "beginning", preparing: "preparing", switching: "switching",
		trial: "trial", committing: "committing", clearing: "clearing", saving: "saving", undoing: "undoing", draining: "draining",
		watching: "watching", covering: "covering", leaving: "leaving", ended: "ended",
	})
}

func (e eventKind) String() string {
	return name(int(e), []string{
		evReady: "ready", evRestored: "restored", evGo: "go", evCommitting: "committing", evAcknowledge: "acknowledge", evCommitted: "committed",
		evOrphaned: "orphaned", evOlder: "older", evSecond: "second", evUpgrade: "upgrade", evHangup: "hangup", evCrowded: "crowded", evStatus: "status", evCommand: "command", evNotStarted: "not started",
		evPrepared: "prepared", evChecked: "checked", evSaving: "saving", evSaved: "saved", evNotBecome: "not become", evAccepting: "accepting", evFailed: "failed", evRecalled: "recalled", evDeclined: "declined", evGone: "gone",
		evGoneCommitting: "gone committing", evGoneAlone: "gone alone", evSuccessorStops: "successor stops", evSuperseded: "superseded",
		evThird: "third", evThirdMain: "third is main", evThirdGone: "third gone", evGoodbye: "goodbye", evDeadline: "deadline", evCanceled: "canceled", evMarked: "marked", evConfirmed: "confirmed",
		evUnconfirmed: "unconfirmed", evCommitFailed: "commit failed", evStop: "stop", evStopLate: "stop late", evFail: "fail",
		evOldIdle: "old work done", evMove: "move", evTaken: "taken", evPauseOver: "pause over", evArrived: "arrived", evStoreAgain: "store again", evStored: "stored", evClose: "close",
	})
}

func name(i int, names []string) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprint(i)
}
