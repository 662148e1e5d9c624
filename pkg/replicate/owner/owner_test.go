package owner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/internal/kafkatest"
	"replicator/pkg/replicate/kafka"
)

const (
	shards   = 4
	patience = 30 * time.Second // only ends tests that fail
)

// court notes who holds which shard, and sees at once when two do.
type court struct {
	t       *testing.T
	ctx     context.Context
	fake    *kafkatest.Cluster
	client  *kgo.Client
	mu      sync.Mutex
	holds   map[string]map[int]bool // by member
	may     bool                    // two may hold one: membership was lost, and only fencing keeps them apart
	history []string
}

func newCourt(t *testing.T, opts ...kfake.Opt) *court {
	t.Helper()
	t.Parallel()
	fake := kafkatest.Start(t, append(opts, kfake.SeedTopics(shards, "ledger"))...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return &court{t: t, ctx: ctx, fake: fake, client: fake.Client(), holds: map[string]map[int]bool{}}
}

// member is one Group that is running.
type member struct {
	*Group
	*court
	name   string
	cancel context.CancelFunc
	done   chan error
}

func (c *court) join(name string) *member {
	c.t.Helper()
	g := c.open(nil)
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{Group: g, court: c, name: name, cancel: cancel, done: make(chan error, 1)}
	go func() { m.done <- g.Run(ctx, m.gained, m.lost) }()
	c.t.Cleanup(func() {
		cancel()
		<-m.done
		if left := c.held(name); len(left) > 0 { // whatever became of the membership
			c.t.Errorf("%s has ended and still holds %v", name, left)
		}
	})
	return m
}

// open opens a membership with more properties.
func (c *court) open(more map[string]string) *Group {
	c.t.Helper()
	properties := c.fake.Properties()
	maps.Copy(properties, more)
	g, err := Open(Config{Group: "g", Ledger: "ledger", Log: slog.New(slog.DiscardHandler),
		Target: kafka.Config{Name: "new", Properties: properties}})
	if err != nil {
		c.t.Fatal(err)
	}
	return g
}

func (m *member) gained(shard int) {
	m.court.mu.Lock()
	defer m.court.mu.Unlock()
	for other, list := range m.holds {
		if list[shard] && !m.may {
			m.t.Errorf("shard %d is given to %s while %s holds it", shard, m.name, other)
		}
	}
	if m.holds[m.name] == nil {
		m.holds[m.name] = map[int]bool{}
	}
	m.holds[m.name][shard] = true
	m.history = append(m.history, fmt.Sprintf("%s+%d", m.name, shard))
}

func (m *member) lost(list []int) {
	m.court.mu.Lock()
	defer m.court.mu.Unlock()
	for _, shard := range list {
		if !m.holds[m.name][shard] {
			m.t.Errorf("%s loses shard %d, which it does not hold", m.name, shard)
		}
		delete(m.holds[m.name], shard)
		m.history = append(m.history, fmt.Sprintf("%s-%d", m.name, shard))
	}
}

func (m *member) leave() {
	m.t.Helper()
	m.cancel()
	err := <-m.done
	m.done <- nil // for the cleanup
	if err != nil {
		m.t.Errorf("%s: %v", m.name, err)
	}
}

// held lists the shards that a member holds.
func (c *court) held(name string) []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.holds[name]))
}

func (c *court) await(what string, holds func() bool) {
	c.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ; !holds(); <-tick.C {
		if c.ctx.Err() != nil {
			c.t.Fatalf("waited in vain: %s; history %v", what, c.history)
		}
	}
}

func (c *court) awaitHeld(name string, n int) {
	c.t.Helper()
	c.await(fmt.Sprintf("%s holds %d", name, n), func() bool { return len(c.held(name)) == n })
}

// TestShardsPassBetweenMembers: shards go from one to the other only after they were let go, both
// ways, and Confirm says yes to whoever is a member.
func TestShardsPassBetweenMembers(t *testing.T) {
	c := newCourt(t)
	a := c.join("a")
	c.awaitHeld("a", shards)
	b := c.join("b")
	c.awaitHeld("a", shards/2)
	c.awaitHeld("b", shards/2)
	for _, m := range []*member{a, b} {
		for _, shard := range c.held(m.name) {
			if err := m.Confirm(c.ctx, shard); err != nil {
				t.Errorf("%s asks for its shard %d: %v", m.name, shard, err)
			}
		}
	}
	a.leave()
	c.awaitHeld("b", shards)
	if err := a.Confirm(c.ctx, 0); !errors.Is(err, ErrNotOwner) {
		t.Errorf("a has left, and is told %v", err)
	}
	b.leave()
	c.awaitHeld("b", 0)
	// Each shard: a+, and then, for those that moved, every gain after the loss before it.
	for shard := range shards {
		last := ""
		for _, event := range c.history {
			if !strings.HasSuffix(event, fmt.Sprint(shard)) {
				continue
			}
			sign := event[1:2]
			if sign == last {
				t.Errorf("shard %d: two times %q in a row in %v", shard, sign, c.history)
			}
			last = sign
		}
		if last != "-" {
			t.Errorf("shard %d was never let go: %v", shard, c.history)
		}
	}
}

// expel has the coordinator forget the member that holds a shard, as it does with
// one that was silent for too long.
func (c *court) expel(shard int32) {
	c.t.Helper()
	var ids []string
	for _, m := range c.members() {
		if assigned, ok := m.Assigned.AsConsumer(); ok && slices.ContainsFunc(assigned.Topics,
			func(t kmsg.ConsumerMemberAssignmentTopic) bool { return slices.Contains(t.Partitions, shard) }) {
			ids = append(ids, m.MemberID)
		}
	}
	c.forget(ids)
}

// members are the group's members as its coordinator knows them.
func (c *court) members() []kadm.DescribedGroupMember {
	c.t.Helper()
	described, err := kadm.NewClient(c.client).DescribeGroups(c.ctx, "g")
	if err != nil {
		c.t.Fatal(err)
	}
	return described["g"].Members
}

// forget has the coordinator forget one member.
func (c *court) forget(ids []string) {
	c.t.Helper()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = "g"
	for _, id := range ids {
		one := kmsg.NewLeaveGroupRequestMember()
		one.MemberID = id
		req.Members = append(req.Members, one)
	}
	answer, err := req.RequestWith(c.ctx, c.client)
	if err == nil {
		err = kerr.ErrorForCode(answer.ErrorCode)
	}
	if err != nil || len(req.Members) != 1 {
		c.t.Fatalf("expel %d members: %v", len(req.Members), err)
	}
}

// TestExpelledMemberLosesItsShards: a member that the group has forgotten is told so when it asks, before
// it hears of it in any other way; then it loses its shards, and joins again. (With no
// member left kfake says ILLEGAL_GENERATION where brokers say UNKNOWN_MEMBER_ID.)
func TestExpelledMemberLosesItsShards(t *testing.T) {
	c := newCourt(t)
	a, b := c.join("a"), c.join("b")
	c.awaitHeld("a", shards/2)
	c.awaitHeld("b", shards/2)
	mine := c.held("a")
	if err := a.Confirm(c.ctx, mine[0]); err != nil {
		t.Fatalf("a member asks: %v", err)
	}
	c.mu.Lock()
	c.may = true
	c.mu.Unlock()
	deaf := c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Count: -1,
		Err: kerr.CoordinatorLoadInProgress})
	c.expel(int32(mine[0]))
	err := a.Confirm(c.ctx, mine[0])
	if !errors.Is(err, ErrNotOwner) || !strings.Contains(err.Error(), fmt.Sprintf("shard %d", mine[0])) {
		t.Errorf("a member that was thrown out is told %v", err)
	}
	deaf.Remove()
	c.await("it has lost its shards, and got as many again", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		lost := 0
		for _, event := range c.history {
			if strings.HasPrefix(event, "a-") {
				lost++
			}
		}
		return lost >= len(mine) && len(c.holds["a"]) == shards/2 && len(c.holds["b"]) == shards/2
	})
	c.await("it is told so", func() bool {
		held := c.held("a") // the group may still be sharing them out
		if len(held) == 0 {
			return false
		}
		err := a.Confirm(c.ctx, held[0])
		if err != nil && !errors.Is(err, ErrNotOwner) {
			t.Errorf("a member asks: %v", err)
		}
		return err == nil
	})
	a.leave()
	b.leave()
}

// A question that cannot be answered is neither yes nor no.
func TestConfirmWithoutAnswer(t *testing.T) {
	c := newCourt(t)
	a := c.join("a")
	c.awaitHeld("a", shards)
	silent := c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Count: -1, Err: kerr.GroupAuthorizationFailed})
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	err := a.Confirm(ctx, 2)
	if err == nil || errors.Is(err, ErrNotOwner) {
		t.Errorf("without an answer: %v, want an error that is not ErrNotOwner", err)
	}
	silent.Remove()
	if err := a.Confirm(c.ctx, 2); err != nil {
		t.Errorf("asked again: %v", err)
	}
	a.leave()
	a.Close() // may be called again
}

// TestExpelledMemberHasLetGoAtItsEnd: a member that was thrown out, and ends before it is told,
// has let go of its shards all the same.
func TestExpelledMemberHasLetGoAtItsEnd(t *testing.T) {
	c := newCourt(t)
	a, b := c.join("a"), c.join("b")
	c.awaitHeld("a", shards/2)
	c.awaitHeld("b", shards/2)
	c.mu.Lock()
	c.may = true
	c.mu.Unlock()
	c.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Count: -1,
		Err: kerr.CoordinatorLoadInProgress})
	mine := c.held("a")[0]
	c.expel(int32(mine))
	a.cancel()
	if err := a.Confirm(c.ctx, mine); !errors.Is(err, ErrNotOwner) {
		t.Errorf("a member that was thrown out is told %v", err)
	}
	a.leave()
	if left := c.held("a"); len(left) > 0 {
		t.Errorf("it has ended and still holds %v", left)
	}
	b.leave()
}

// TestSilentCoordinatorKeepsNobodyFromTheEnd: neither a question that the coordinator never answers nor a
// request to join of which it forgets keeps a member from its end.
func TestSilentCoordinatorKeepsNobodyFromTheEnd(t *testing.T) {
	c := newCourt(t)
	a := c.join("a")
	c.awaitHeld("a", shards)
	first := c.members()[0].MemberID
	c.fake.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		return nil, nil, true
	})
	if err := a.Confirm(c.ctx, 0); err == nil || errors.Is(err, ErrNotOwner) || c.ctx.Err() != nil {
		t.Errorf("without an answer: %v, want an error that is not ErrNotOwner, and soon", err)
	}
	b := c.join("b")
	var joining []string
	c.await("b waits for a", func() bool {
		joining = nil
		for _, m := range c.members() {
			if m.MemberID != first {
				joining = append(joining, m.MemberID)
			}
		}
		return len(joining) == 1
	})
	c.forget(joining) // with its request to join, as kfake does
	b.leave()
	a.leave()
	if c.ctx.Err() != nil {
		t.Errorf("two members without an answer took more than %s to end", patience)
	}
}

// TestConfirmWhileConnecting: a question ends with its context, also while the
// coordinator takes a connection and says nothing.
func TestConfirmWhileConnecting(t *testing.T) {
	c := newCourt(t)
	a := c.join("a")
	c.awaitHeld("a", shards)
	var greetings atomic.Int32
	c.fake.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		return nil, errors.New("the connection breaks"), true
	})
	ctx, cancel := context.WithCancel(c.ctx)
	c.fake.ControlKey(int16(kmsg.ApiVersions), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		greetings.Add(1)
		cancel()
		return nil, nil, true
	})
	if err := a.Confirm(ctx, 0); err == nil || errors.Is(err, ErrNotOwner) {
		t.Errorf("without a connection: %v, want an error that is not ErrNotOwner", err)
	}
	if n := greetings.Load(); n != 1 {
		t.Errorf("the question ended after %d tries to connect, want 1", n)
	}
}

// TestMemberWithoutCoordinatorLetsGo: a member that hears nothing from its coordinator lets go of its shards,
// which others have by then, and has them again when it hears from it.
func TestMemberWithoutCoordinatorLetsGo(t *testing.T) {
	c := newCourt(t)
	a := c.join("a")
	c.awaitHeld("a", shards)
	var back atomic.Bool
	c.fake.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		return nil, nil, !back.Load()
	})
	c.awaitHeld("a", 0)
	back.Store(true)
	c.awaitHeld("a", shards)
	a.leave()
}

// TestSessionOfTheTarget: session.timeout.ms of the target is the group's; one that its
// brokers do not take is final, and names what to set.
func TestSessionOfTheTarget(t *testing.T) {
	c := newCourt(t, kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "10000"}))
	g := c.open(nil)
	err := g.Run(c.ctx, func(int) {}, func([]int) {})
	var remedy interface{ Remedy() string }
	if !errors.As(err, &remedy) || !strings.Contains(remedy.Remedy(), "session.timeout.ms") {
		t.Errorf("a session that is too short ends with %v", err)
	}
	long := c.open(map[string]string{"session.timeout.ms": "10000"})
	ctx, cancel := context.WithCancel(c.ctx)
	if err := long.Run(ctx, func(int) { cancel() }, func([]int) {}); err != nil || c.ctx.Err() != nil {
		t.Errorf("a session that is long enough: %v", err)
	}
}
