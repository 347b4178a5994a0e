package proof

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/cutover-go/cutover/e2e/proof/record"
)

// A handshake of QUIC waits for the process that has read its first datagram.
func TestATimeoutIsExcusedWhenAKilledProcessMayHaveReadADatagram(t *testing.T) {
	for network, excused := range map[string]bool{"udp": true, "tcp": false} {
		server := serve(t, func(_ int, c net.Conn) { _, _ = c.Read(make([]byte, 1)) })
		ask := func(ctx context.Context, dial Dial) error {
			c, err := dial(ctx, network, server)
			if err != nil {
				return err
			}
			defer c.Close()
			<-ctx.Done()
			return ctx.Err()
		}
		got := requests(t, Func("own", ask), 1, 50*time.Millisecond)
		killed := &record.Event{Kind: record.Kill, At: got[0].Due, Done: got[0].Due}
		s := &scene{events: []*record.Event{killed}}
		if s.excused(got[0]) != excused {
			t.Errorf("a request over %s: %+v, excused: %v; want %v", network, got[0], !excused, excused)
		}
		if killed.Done--; s.excused(got[0]) {
			t.Errorf("a request over %s that was due after the restart is excused", network)
		}
	}
}

// A shown is a manager that shows the properties of a service.
type shown struct {
	stage
	properties map[string]string
}

func (s shown) Show(_ context.Context, _, property string) (string, error) {
	return s.properties[property], nil
}
func (shown) Log(context.Context, string) (string, error) { return "", nil }

// An upgrade by a signal may end after the command. Its process is another main process, but
// the one before has not died.
func TestAMainProcessHasDiedWhenTheManagerStartsAnotherOne(t *testing.T) {
	for _, c := range []struct {
		main, restarts string
		dead           bool
	}{{"20", "0", false}, {"30", "0", false}, {"30", "1", true}, {"0", "0", true}} {
		manager := shown{properties: map[string]string{"MainPID": c.main, "NRestarts": c.restarts}}
		s := &scene{proof: &proof{stage: manager, units: &unitFiles{}}, ctx: t.Context(), events: []*record.Event{{Kind: record.Reload, Before: 10, After: 20}}}
		if err := s.died(nil); (err != nil) != c.dead {
			t.Errorf("MainPID=%s, NRestarts=%s: %v; want a flaw: %v", c.main, c.restarts, err, c.dead)
		}
	}
}
