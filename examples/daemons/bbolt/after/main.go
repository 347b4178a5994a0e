// Command bbolt counts requests in a database file, which one process can open at a time.
package main

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"net/http"
	"os"

	"go.etcd.io/bbolt"

	"github.com/cutover-go/cutover/reexec"
	"github.com/cutover-go/cutover/reexec/rehttp"
)

func main() {
	addr := flag.String("addr", ":8083", "listen on this `address`")
	file := flag.String("file", "/var/lib/bbolt/count.db", "`path` of the database")
	flag.Parse()
	var db *bbolt.DB
	opened := make(chan struct{})
	open := func(ctx context.Context, u *reexec.Upgrader) (err error) {
		if err := u.WaitForPredecessor(ctx); err != nil { // it has the lock of the file
			return err
		}
		if db, err = bbolt.Open(*file, 0o600, nil); err != nil {
			return err
		}
		close(opened)
		_ = u.Drain(ctx) // the other services report requests that were cut
		return db.Close()
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		<-opened
		n, err := count(db)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, n)
	})
	os.Exit(reexec.Main(reexec.Options{}, rehttp.Service("http", *addr, new(http.Server)),
		reexec.ServiceFunc(func(_ context.Context, u *reexec.Upgrader) (func(context.Context) error, error) {
			return func(ctx context.Context) error { return open(ctx, u) }, nil
		})))
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
