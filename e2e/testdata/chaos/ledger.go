package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
)

// A ledger is the file in which all generations note the requests that they execute.
type ledger struct{ file *os.File }

func openLedger(dir string) (*ledger, error) {
	f, err := os.OpenFile(filepath.Join(dir, "ledger"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return &ledger{f}, err
}

func (l *ledger) close() { _ = l.file.Close() } // each line is a write

// note notes that this process executes the request id.
func (l *ledger) note(id string) {
	if _, err := fmt.Fprintf(l.file, "%s %d\n", id, os.Getpid()); err != nil {
		fmt.Fprintln(os.Stderr, err) // the journal has it
	}
}

// record notes the requests of next that have an id.
func (l *ledger) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.URL.Query().Get("id"); id != "" {
			l.note(id)
		}
		next.ServeHTTP(w, r)
	})
}
