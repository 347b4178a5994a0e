package retls

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// What crypto/tls does with keys of its own. RFC 8446, 4.6.1 (2018-08) allows no
// ticket more than seven days; RFC 5077, 5.5 (2008-01) wants keys to be changed.
const (
	rotation = 24 * time.Hour
	lifetime = 7 * 24 * time.Hour
)

// keys are those of one moment; they are not changed, but replaced by others.
type keys struct {
	Current key   `json:"current"` // encrypts
	Next    key   `json:"next"`    // will encrypt
	Old     []key `json:"old"`     // have encrypted, newest first
}

type key struct {
	Secret []byte    `json:"secret"`
	Since  time.Time `json:"since"` // when it began to encrypt
}

func newKeys(now time.Time) keys { return keys{Current: newKey(now), Next: newKey(now)} }

func newKey(since time.Time) key {
	k := key{make([]byte, 32), since}
	_, _ = rand.Read(k.Secret) // never fails
	return k
}

func (k keys) due(now time.Time) bool { return now.Sub(k.Current.Since) >= rotation }

// rotated returns what follows k, without keys whose tickets are too old for any use.
func (k keys) rotated(now time.Time) keys {
	old := append([]key{k.Current}, k.Old...)
	return keys{
		Current: key{k.Next.Secret, now},
		Next:    newKey(now),
		Old:     slices.DeleteFunc(old, func(o key) bool { return now.Sub(o.Since) >= lifetime }),
	}
}

// config returns what encrypts and decrypts tickets with k.
func (k keys) config() *tls.Config {
	var all [][32]byte
	for _, one := range append([]key{k.Current, k.Next}, k.Old...) {
		all = append(all, [32]byte(one.Secret))
	}
	c := new(tls.Config)
	c.SetSessionTicketKeys(all)
	return c
}

func (k keys) encode() ([]byte, error) { return json.Marshal(k) }

// decodeKeys reads what encode has written. A clock that was ahead then would have
// its keys live too long.
func decodeKeys(data []byte, now time.Time) (k keys, err error) {
	if err := json.Unmarshal(data, &k); err != nil {
		return k, err
	}
	for _, one := range append([]*key{&k.Current, &k.Next}, pointers(k.Old)...) {
		if len(one.Secret) != 32 {
			return k, errors.New("a key is not of 32 bytes")
		}
		if one.Since.After(now) {
			one.Since = now
		}
	}
	return k, nil
}

func pointers(list []key) (all []*key) {
	for i := range list {
		all = append(all, &list[i])
	}
	return all
}
