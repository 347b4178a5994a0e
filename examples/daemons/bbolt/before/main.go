// Command bbolt counts requests in a database file, which one process can open at a time.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"net/http"

	"go.etcd.io/bbolt"
)

func main() {
	addr := flag.String("addr", ":8083", "listen on this `address`")
	file := flag.String("file", "/var/lib/bbolt/count.db", "`path` of the database")
	flag.Parse()
	db, err := bbolt.Open(*file, 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		n, err := count(db)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, n)
	})
	log.Fatal(http.ListenAndServe(*addr, nil))
}

// count adds one to the number in the database.
func count(db *bbolt.DB) (n uint64, err error) {
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("counters"))
		if err != nil {
			return err
		}
		if old := b.Get([]byte("requests")); old != nil {
			n = binary.BigEndian.Uint64(old)
		}
		n++
		return b.Put([]byte("requests"), binary.BigEndian.AppendUint64(nil, n))
	})
	return n, err
}
