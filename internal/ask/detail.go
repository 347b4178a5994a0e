package ask

// Detail is the part of the answer to Status that needs more than a number. Lines of it are
// left out if the answer would become too long.
type Detail struct {
	Version string   `json:"version,omitempty"` // version of the program, from its build information
	Since   int64    `json:"since,omitempty"`   // when this generation began to serve, in seconds since 1970
	Sockets []Socket `json:"sockets,omitempty"`
	Last    *Outcome `json:"last_upgrade,omitempty"` // nil before the first one
}

// Socket is a socket that the main process uses.
type Socket struct {
	Name    string `json:"name"`
	Network string `json:"network"`
	Address string `json:"address"`

	// Waiting and Limit are the number of connections that wait for Accept, and the most that
	// can. For a packet socket they are bytes of datagrams. Both are 0 if they are not known.
	Waiting int `json:"waiting"`
	Limit   int `json:"limit,omitempty"`
}

// Outcome is the result of an upgrade.
type Outcome struct {
	At    int64  `json:"at"`              // when it ended, in seconds since 1970
	Error string `json:"error,omitempty"` // reason why it was undone, "" if it was not
}

func (d *Detail) printable() {
	if d == nil {
		return
	}
	d.Version = printable(d.Version)
	for i := range d.Sockets {
		s := &d.Sockets[i]
		s.Name, s.Network, s.Address = printable(s.Name), printable(s.Network), printable(s.Address)
	}
	if d.Last != nil {
		d.Last.Error = printable(d.Last.Error)
	}
}
