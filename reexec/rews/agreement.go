package rews

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
)

// An agreement is the part of the answer to a handshake that holds for the connection.
type agreement struct {
	protocol   string // Sec-WebSocket-Protocol
	extensions string // Sec-WebSocket-Extensions
}

func agreementOf(h http.Header) agreement {
	return agreement{h.Get("Sec-Websocket-Protocol"), strings.Join(h.Values("Sec-Websocket-Extensions"), ", ")}
}

func isWebSocket(h http.Header) bool { return strings.EqualFold(h.Get("Upgrade"), "websocket") }

// equals reports whether a and b promise the same. The order of parameters has no meaning.
func (a agreement) equals(b agreement) bool {
	return a.protocol == b.protocol && maps.Equal(parameters(a.extensions), parameters(b.extensions))
}

// stateless reports whether the library keeps nothing from one message to the next: there is
// no extension, or compression without context takeover in both directions (RFC 7692, 7.1.1).
func (a agreement) stateless() bool {
	p := parameters(a.extensions)
	return len(p) == 0 || !strings.Contains(a.extensions, ",") && p["permessage-deflate"] &&
		p["server_no_context_takeover"] && p["client_no_context_takeover"]
}

func (a agreement) compressed() bool { return parameters(a.extensions)["permessage-deflate"] }

func (a agreement) String() string {
	return fmt.Sprintf("protocol %q, extensions %q", a.protocol, a.extensions)
}

// parameters returns the names and parameters of extensions.
func parameters(extensions string) map[string]bool {
	set := map[string]bool{}
	for p := range strings.SplitSeq(strings.ReplaceAll(extensions, ",", ";"), ";") {
		if p = strings.ToLower(strings.TrimSpace(p)); p != "" {
			set[p] = true
		}
	}
	return set
}
