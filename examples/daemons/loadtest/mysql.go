package main

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/cutover-go/cutover/examples/daemons/internal/load"
)

// mysqlLoad asks for the rows of a table. Its connections are not those of database/sql, which
// asks again on another connection.
func mysqlLoad(address string, l *load.Load) error {
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.DBName = "root", "tcp", address, "mydb"
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	kept := make([]driver.Conn, 20)
	for i := range kept {
		if kept[i], err = connector.Connect(context.Background()); err != nil {
			return err
		}
	}
	l.Each("kept", len(kept), 100*time.Millisecond, func(i int) error { return colors(kept[i]) })
	l.Each("new", 4, 100*time.Millisecond, func(int) error {
		c, err := connector.Connect(context.Background())
		if err != nil {
			return err
		}
		if err := colors(c); err != nil {
			return err
		}
		return c.Close()
	})
	return nil
}

// colors returns an error unless the answer has all rows.
func colors(c driver.Conn) error {
	rows, err := c.(driver.QueryerContext).QueryContext(context.Background(), "SELECT name FROM colors ORDER BY name", nil)
	if err != nil {
		return err
	}
	defer rows.Close()
	var got []string
	row := make([]driver.Value, 1)
	for err = rows.Next(row); err == nil; err = rows.Next(row) {
		got = append(got, fmt.Sprintf("%s", row[0]))
	}
	if err != io.EOF {
		return err
	}
	if want := []string{"blue", "green", "red"}; !slices.Equal(got, want) {
		return fmt.Errorf("%v instead of %v", got, want)
	}
	return nil
}
