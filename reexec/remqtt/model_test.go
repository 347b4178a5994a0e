package remqtt

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A model has clients that publish numbered messages, and a record of the messages of each client.
type model struct {
	*line
	mu      sync.Mutex
	changed *sync.Cond
	want    map[string]int // the last message of a topic that was published
	turn    chan struct{}
}

// A record has the messages of one client, by topic.
type record struct {
	*model
	id   string
	last map[string]int
	seen map[string]map[int]int
}

func newModel(t *testing.T) *model {
	m := &model{line: newLine(t, &Service{}, func() *broker {
		b := newBroker(t)
		b.wills = func(topic string) { t.Errorf("the will %s is published", topic) }
		return b
	}), want: map[string]int{}, turn: make(chan struct{}, 1)}
	m.changed = sync.NewCond(&m.mu)
	return m
}

func (m *model) record(id string) *record {
	return &record{model: m, id: id, last: map[string]int{}, seen: map[string]map[int]int{}}
}

// got notes a message. In a session without a break each one comes once and in order.
func (r *record) got(topic, text string, p packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.changed.Broadcast()
	n := 0
	if _, err := fmt.Sscan(text, &n); err != nil || p.retained() {
		r.Errorf("%s: message %q on %s, %x", r.id, text, topic, p[0])
	}
	if r.seen[topic] == nil {
		r.seen[topic] = map[int]int{}
	}
	r.seen[topic][n]++
	if !strings.HasPrefix(r.id, "away") && n != r.last[topic]+1 {
		r.Errorf("%s: message %d on %s follows %d", r.id, n, topic, r.last[topic])
	}
	if strings.HasPrefix(r.id, "away") && strings.HasSuffix(topic, "2") && r.seen[topic][n] > 1 {
		r.Errorf("%s: message %d on %s comes twice", r.id, n, topic)
	}
	r.last[topic] = n
}

// misses returns the messages with QoS 1 and 2 that have not come.
func (r *record) misses() (all []string) {
	for topic, n := range r.want {
		if strings.HasPrefix(r.id, "away") && strings.HasSuffix(topic, "0") {
			continue
		}
		for i := 1; i <= n; i++ {
			if r.seen[topic][i] == 0 {
				all = append(all, fmt.Sprint(topic, " ", i))
			}
		}
	}
	slices.Sort(all)
	return all
}

// await waits until all messages have come.
func (r *record) await() {
	late := false
	timer := time.AfterFunc(patienceOfTests/4, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		late = true
		r.changed.Broadcast()
	})
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.misses()) > 0 && !late {
		r.changed.Wait()
	}
	if all := r.misses(); len(all) > 0 {
		r.Errorf("%s: %d messages have not come: %.400q", r.id, len(all), all)
	}
}

func (m *model) allow() {
	select {
	case m.turn <- struct{}{}:
	default:
	}
}

func (c *client) must(err error) {
	if err != nil {
		c.Error(err)
	}
}

func (m *model) publish(c *client, topic string, qos byte, messages int) {
	for n := 1; n <= messages; n++ {
		text := fmt.Sprint(n, " ", strings.Repeat("m", rand.IntN(300)))
		if err := c.publish(topic, text, qos, false); err != nil {
			m.Error(err)
			return
		}
		m.allow()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.want[topic] = messages
}

// TestEachMessageArrivesOnceThroughUpgrades has clients of both levels that publish and
// subscribe, slow ones among them, clients that come with one message, and clients whose
// session outlives its connections, while generations follow each other.
func TestEachMessageArrivesOnceThroughUpgrades(t *testing.T) {
	m := newModel(t)
	const messages = 15
	var clients []*client
	var records []*record
	for i := range 6 {
		r := m.record(fmt.Sprint("client", i))
		c := &client{TB: t, id: r.id, level: byte(4 + i%2), will: "will/" + r.id, got: r.got, keeps: i == 4}
		if i%4 == 3 {
			c.most = 2
		}
		c.must(c.connect(m.address))
		c.must(c.subscribe("t/#", 2))
		clients, records = append(clients, c), append(records, r)
	}
	var aways []*away
	for i := range 2 {
		aways = append(aways, m.away(i))
	}
	var working, coming sync.WaitGroup
	for i, c := range clients {
		working.Go(func() { m.publish(c, fmt.Sprintf("t/%d/%d", i, i%3), byte(i%3), messages) })
	}
	over := make(chan struct{})
	for _, a := range aways {
		coming.Go(func() { a.comeAndGo(over) })
	}
	coming.Go(func() { m.guests(over) })
	go func() { working.Wait(); close(over) }() // ends with the publishers
	upgrades := 0
	for !isClosed(over) {
		select {
		case <-m.turn:
			old := m.upgrade()
			upgrades++
			if rand.IntN(2) == 0 {
				<-old.ended
			}
		case <-over:
		}
	}
	coming.Wait()
	for _, r := range records {
		r.await()
	}
	for _, a := range aways {
		a.finish()
	}
	t.Logf("%d upgrades", upgrades)
	for _, c := range clients {
		c.leave(true)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.log.all) > 0 {
		t.Errorf("logged: %q", m.log.all)
	}
}

// guests come one after the other, publish one message, and leave.
func (m *model) guests(over <-chan struct{}) {
	for n := 1; !isClosed(over); n++ {
		c := &client{TB: m, id: fmt.Sprint("guest", n), level: byte(4 + n%2), got: func(string, string, packet) {}}
		c.must(c.connect(m.address))
		if err := c.publish("t/guest/1", fmt.Sprint(n), 1, false); err != nil {
			m.Error(err)
			return
		}
		m.mu.Lock()
		m.want["t/guest/1"] = n
		m.mu.Unlock()
		c.leave(n%2 == 0)
	}
}

// away is a client that comes and goes. Its session stays.
type away struct {
	*client
	*record
}

func (m *model) away(i int) *away {
	r := m.record(fmt.Sprint("away", i))
	a := &away{&client{TB: m, id: r.id, level: byte(4 + i), keeps: true, got: r.got}, r}
	a.client.must(a.connect(m.address))
	a.client.must(a.subscribe("t/#", 2))
	return a
}

func (a *away) comeAndGo(over <-chan struct{}) {
	for n := 0; !isClosed(over); n++ {
		a.leave(n%2 == 0 && a.level == 4 || n%3 == 0)
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // other clients publish
		if err := a.connect(a.address); err != nil {
			a.record.Error(err)
			return
		}
		if !a.present {
			a.record.Errorf("%s: the server does not know the session", a.record.id)
		}
	}
}

func (a *away) finish() {
	a.await()
	a.leave(true)
}
