package retls

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// rotation and lifetime have the values that crypto/tls uses for its automatic keys. RFC
// 8446, 4.6.1 (2018-08) limits a ticket to seven days; RFC 5077, 5.5 (2008-01) recommends
// to change keys.
const (
	rotation = 24 * time.Hour
	lifetime = 7 * 24 * time.Hour
)

// keys is an immutable set of keys. A rotation makes a new one.
type keys struct {
	Current key   `json:"current"` // the key that encrypts
	Next    key   `json:"next"`    // the key that encrypts after the next rotation
	Old     []key `json:"old"`     // keys that only decrypt, newest first
}

type key struct {
	Secret []byte    `json:"secret"`
	Since  time.Time `json:"since"` // beginning of its time as the current key
}

func newKeys(now time.Time) keys { return keys{Current: newKey(now), Next: newKey(now)} }

func newKey(since time.Time) key {
	k := key{make([]byte, 32), since}
	_, _ = rand.Read(k.Secret) // never fails
	return k
}

func (k keys) due(now time.Time) bool { return now.Sub(k.Current.Since) >= rotation }

// rotated returns the keys that follow k, without keys whose tickets have all expired.
func (k keys) rotated(now time.Time) keys {
	old := append([]key{k.Current}, k.Old...)
	return keys{
		Current: key{k.Next.Secret, now},
		Next:    newKey(now),
		Old:     slices.DeleteFunc(old, func(o key) bool { return now.Sub(o.Since) >= lifetime }),
	}
}

// config returns a Config that encrypts and decrypts tickets with k.
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

// decodeKeys parses the result of encode. It replaces times after now by now, because keys
// made by a clock that was ahead would otherwise live too long.
func decodeKeys(data []byte, now time.Time) (k keys, err error) {
	if err := json.Unmarshal(data, &k); err != nil {
		return k, err
	}
	for _, one := range append([]*key{&k.Current, &k.Next}, pointers(k.Old)...) {
		if len(one.Secret) != 32 {
			return k, errors.New("a ticket key does not have 32 bytes")
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
