package rehttp

import (
	"crypto/tls"
	"net"
	"reflect"
	"syscall"
)

// This file finds the socket under the connection that net/http has. Its counters show whether
// a client has sent more than the request that is being answered.

// under returns the socket below TLS and below wrappers that have a NetConn method or embed a
// net.Conn, such as those of netutil.LimitListener. secure reports whether TLS is between.
// under returns the innermost connection that it finds if that is no socket.
func under(c net.Conn) (socket net.Conn, secure bool) {
	for {
		if _, ok := c.(syscall.Conn); ok {
			return c, secure
		}
		if _, ok := c.(*tls.Conn); ok {
			secure = true
		}
		inner := wrapped(c)
		if inner == nil {
			return c, secure
		}
		c = inner
	}
}

// wrapped returns the connection that c wraps, or nil.
func wrapped(c net.Conn) net.Conn {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		return t.NetConn()
	}
	v := reflect.Indirect(reflect.ValueOf(c))
	if v.Kind() != reflect.Struct {
		return nil
	}
	f, ok := v.Type().FieldByName("Conn")
	if !ok || !f.Anonymous || len(f.Index) != 1 {
		return nil
	}
	inner, _ := v.Field(f.Index[0]).Interface().(net.Conn) // the name of the field is exported
	return inner
}
