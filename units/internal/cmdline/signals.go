package cmdline

import (
	"slices"
	"strconv"
	"strings"
)

// Signal returns the signal that a step sends, without SIG, and whether it sends one.
func (s Step) Signal() (name string, sends bool) {
	words := s.Core()
	if !slices.Contains(senders, s.Program()) && (s.Program() != "systemctl" || !slices.Contains(words, "kill")) {
		return "", false
	}
	name = "TERM"
	for i, word := range words[1:] {
		value, long := strings.CutPrefix(word, "--signal=")
		switch {
		case long:
			name = value
		case (word == "-s" || word == "--signal" || word == "-n") && i+2 < len(words):
			name = words[i+2]
		case len(word) > 1 && word[0] == '-' && word[1] != '-' && isSignalName(word[1:]):
			name = word[1:]
		}
	}
	return signalName(name), true
}

func isSignalName(word string) bool {
	name := signalName(word)
	return slices.Contains(signalNames, name) || name == "0"
}

// signalNames are those of signal(7).
var signalNames = strings.Fields("HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU " +
	"URG XCPU XFSZ VTALRM PROF WINCH IO POLL PWR SYS")

// signalNumbers are those that people write for a name.
var signalNumbers = map[string]string{"1": "HUP", "2": "INT", "3": "QUIT", "4": "ILL", "5": "TRAP", "6": "ABRT", "7": "BUS", "8": "FPE", "9": "KILL",
	"10": "USR1", "11": "SEGV", "12": "USR2", "13": "PIPE", "14": "ALRM", "15": "TERM", "17": "CHLD", "18": "CONT", "19": "STOP", "28": "WINCH", "31": "SYS"}

// signalName gives the forms SIGKILL, KILL, kill and 9 one name.
func signalName(word string) string {
	if name := signalNumbers[word]; name != "" {
		return name
	}
	return strings.TrimPrefix(strings.ToUpper(word), "SIG")
}

// IsDeadly reports whether a signal ends a Go program at once, whatever it handles. The name may
// have SIG before it, or be a number.
func IsDeadly(signal string) bool { return slices.Contains(deadly, signalName(signal)) }

// deadly are the signals that end a Go program at once, whatever it handles.
var deadly = strings.Fields("KILL QUIT ABRT SEGV BUS FPE ILL TRAP SYS")

var senders = []string{"kill", "pkill", "killall"}

// IsSignal reports whether systemd takes word for a signal: SIGTERM, TERM, 15, SIGRTMIN+1.
func IsSignal(word string) bool {
	if n, err := strconv.Atoi(word); err == nil {
		return 0 < n && n <= 64
	}
	name := strings.TrimPrefix(word, "SIG")
	return slices.Contains(signalNames, name) || strings.HasPrefix(name, "RTMIN") || strings.HasPrefix(name, "RTMAX")
}
