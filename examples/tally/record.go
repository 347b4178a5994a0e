package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/cutover-go/cutover/reexec"
)

// The names in the fd store.
const (
	connections = "session"
	records     = "record"
)

// recordSize is more than a state takes.
const recordSize = 512

// record is the insurance of a session against a crash: systemd has its connection,
// and a file without a name that has its state.
type record struct {
	conn, file *reexec.Kept
}

func newRecord(u *reexec.Upgrader, c net.Conn, first state) (*record, error) {
	temp, err := os.CreateTemp(os.Getenv("RUNTIME_DIRECTORY"), "record-")
	if err != nil {
		return nil, err
	}
	defer temp.Close()
	r := &record{}
	err = os.Remove(temp.Name())
	if err == nil {
		r.file, err = u.Keep(records, temp)
	}
	if err == nil {
		r.save(first)
		r.conn, err = u.Keep(connections, c.(syscall.Conn))
	}
	if err != nil {
		return nil, errors.Join(err, r.forget())
	}
	return r, nil
}

// save writes s. A reader of the record stops at the end of the first value.
func (r *record) save(s state) {
	text, err := json.Marshal(s)
	if err == nil {
		_, err = r.file.File.WriteAt(append(text, '\n'), 0)
	}
	if err != nil {
		panic(err) // no memory is left: a restart finds the previous record
	}
}

func (r *record) forget() error {
	var errs []error
	for _, k := range []*reexec.Kept{r.conn, r.file} {
		if k != nil {
			errs = append(errs, k.Forget())
		}
	}
	return errors.Join(errs...)
}
