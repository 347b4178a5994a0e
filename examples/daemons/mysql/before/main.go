// Command mysql is a MySQL server with one table in memory.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"time"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/types"
)

func main() {
	addr := flag.String("addr", ":3306", "listen on this `address`")
	flag.Parse()
	ln, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(serve(ln))
}

// serve answers queries about the table "colors" in the database "mydb".
func serve(ln net.Listener) error {
	db := memory.NewDatabase("mydb")
	all := memory.NewDBProvider(db)
	schema := sql.Schema{{Name: "name", Type: types.Text, Source: "colors"}}
	table := memory.NewTable(db, "colors", sql.NewPrimaryKeySchema(schema), db.GetForeignKeyCollection())
	db.AddTable("colors", table)
	ctx := sql.NewContext(context.Background(), sql.WithSession(memory.NewSession(sql.NewBaseSession(), all)))
	for _, name := range []string{"red", "green", "blue"} {
		if err := table.Insert(ctx, sql.NewRow(name)); err != nil {
			return err
		}
	}
	s, err := server.NewServer(server.Config{Listener: ln, ConnReadTimeout: 8 * time.Hour}, sqle.NewDefault(all), sql.NewContext, memory.NewSessionBuilder(all), nil)
	if err != nil {
		return err
	}
	return s.Start()
}
