package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
)

// An answer is a server's description of the process that answers.
type answer struct {
	version         string
	generation, pid int
}

func (a answer) String() string {
	return fmt.Sprintf("%s, generation %d, process %d", a.version, a.generation, a.pid)
}

// A client asks who serves, on a new connection each time.
type client struct {
	url  string
	http http.Client
}

func newClient(addr string, dial func(ctx context.Context, network, addr string) (net.Conn, error)) *client {
	return &client{
		url:  "http://" + addr + "/",
		http: http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
	}
}

func (c *client) ask(ctx context.Context) (a answer, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return a, err
	}
	r, err := c.http.Do(q)
	if err != nil {
		return a, err
	}
	defer r.Body.Close()
	line, err := io.ReadAll(r.Body)
	if err != nil {
		return a, err
	}
	if _, err := fmt.Sscanf(string(line), "version=%s generation=%d pid=%d", &a.version, &a.generation, &a.pid); err != nil {
		return a, fmt.Errorf("answer %q: %w", line, err)
	}
	return a, nil
}
