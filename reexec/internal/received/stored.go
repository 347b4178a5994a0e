package received

import (
	"slices"

	"github.com/cutover-go/cutover/internal/fd"
	"github.com/cutover-go/cutover/internal/handover"
	"github.com/cutover-go/cutover/notify"
	"github.com/cutover-go/cutover/reexec/internal/storename"
)

// Stored collects the connections that an earlier process put into the fd store. The manager
// passes connections and their data in any order.
type Stored struct {
	names []string
	found []storedConn
	data  map[string][]byte
}

type storedConn struct {
	storename.Connection
	fd *fd.FD
}

// Collect takes the entry called name if it is a connection or the data of one. Otherwise it
// returns false. take returns the descriptor of the entry.
func (s *Stored) Collect(name string, take func() *fd.FD) bool {
	n, ok := storename.ParseConnection(name)
	switch {
	case ok:
		s.found = append(s.found, storedConn{n, take()})
	case storename.IsData(name):
		s.collectData(name, take())
	default:
		return false
	}
	s.names = append(s.names, name)
	return true
}

func (s *Stored) collectData(name string, f *fd.FD) {
	file := f.File(name)
	defer file.Close()
	if data, err := notify.ReadMemfd(file); err == nil { // else Conns closes the connection
		if s.data == nil {
			s.data = map[string][]byte{}
		}
		s.data[name] = data
	}
}

// Names returns the names of the collected entries, each once, to remove them from the fd store.
func (s *Stored) Names() []string {
	slices.Sort(s.names)
	return slices.Compact(s.names)
}

// Conns returns the connections that are complete, and closes the others.
func (s *Stored) Conns() (all []*Conn) {
	for _, f := range s.found {
		data := s.data[f.Data()]
		if f.Sequence > 0 && data == nil {
			_ = f.fd.Close() // the program cannot serve it without its data
			continue
		}
		all = append(all, &Conn{Connection: handover.Connection{Name: f.Name, Format: f.Format, Data: data}, FD: f.fd})
	}
	return all
}
