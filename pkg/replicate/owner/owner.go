// Package owner decides which shards of a flow this process works on. Kafka's
// own group protocol is the scheduler: every replica of the daemon joins one
// consumer group on the target, subscribed to the ledger topic, and being
// assigned ledger partition i is owning shard i.
//
// The central type is [Group]. It guarantees:
//
//  1. a shard is given (gain) before anybody may work on it, and taken back
//     (lose) before the group gives it to another member;
//  2. lose has returned before the group hears of it, except when the membership
//     itself was lost, or was had again before that was noticed: then the shard may
//     already be another member's, and only fencing keeps the two apart;
//  3. what was given is taken back once, whatever the group says or leaves unsaid;
//  4. [Group.Confirm] asks the broker, not our memory, and no question lasts.
//
// It reads no record: the ledger topic is paused before it is subscribed to.
package owner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wait"
)

// Config says which group to join.
type Config struct {
	Target kafka.Config
	Group  string // replicator.<from>.<to>
	Ledger string // the topic whose partitions stand for shards
	Log    *slog.Logger
	// Note, asked for when the process joins, is what it lets the other members know; nil: nothing.
	Note func() []byte
	// Present, if not nil, hears whether the group counts this process as a member: true once it has been given its
	// shards, perhaps none; false before they are taken back because the membership is over.
	Present func(bool)
}

// ErrNotOwner says that the broker no longer counts this process as a member
// of the group: what it worked on belongs to others.
var ErrNotOwner = errors.New("this process is no longer the owner")

const (
	// session is session.timeout.ms: the smallest that brokers allow by default, to take over 5 s after a kill.
	session   = 6 * time.Second
	heartbeat = 1 * time.Second // heartbeat.interval.ms
	// rebalance is how long a member may take to let go of its shards, max.poll.interval.ms.
	rebalance = time.Minute
	// confirmTries: a coordinator may be moving when Confirm asks; without any answer it says so after confirmLimit.
	confirmTries = 20
	confirmLimit = 10 * time.Second
	// leaveLimit bounds the farewell to a coordinator that is away, or that has others join first: without it the
	// session expires there.
	leaveLimit = 3 * time.Second
)

// Group is the membership of this process. Confirm may be called from any goroutine.
type Group struct {
	cfg    Config
	client *kgo.Client
	gain   func(shard int)
	lose   func(shards []int)

	mu      sync.Mutex   // held while shards are given and taken back
	held    map[int]bool // given, not taken back
	leaving bool         // nothing is given any more

	end     context.CancelFunc // of all that the client does
	closing sync.Once
	closed  atomic.Bool
}

// Open prepares the membership; [Group.Run] joins.
func Open(cfg Config) (*Group, error) {
	if cfg.Present == nil {
		cfg.Present = func(bool) {}
	}
	if cfg.Note == nil {
		cfg.Note = func() []byte { return nil }
	}
	g := &Group{cfg: cfg, held: map[int]bool{}}
	given := func(_ context.Context, _ *kgo.Client, list map[string][]int32) {
		g.give(list[cfg.Ledger])
		cfg.Present(true)
	}
	taken := func(_ context.Context, _ *kgo.Client, list map[string][]int32) { g.takeBack(list[cfg.Ledger]) }
	lost := func(_ context.Context, _ *kgo.Client, list map[string][]int32) {
		cfg.Present(false)
		g.takeBack(list[cfg.Ledger])
	}
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(int16(kmsg.OffsetCommit), 9) // later ones name the topic by its id, see KIP-848
	session := g.Session()
	// A member that its coordinator does not answer has to notice in about a session, in which it tries twice.
	target := kafka.With(cfg.Target, map[string]string{
		"socket.connection.setup.timeout.ms": fmt.Sprint((session / 2).Milliseconds())})
	var ctx context.Context
	ctx, g.end = context.WithCancel(context.Background())
	var err error
	g.client, err = kafka.NewFranz(target, kgo.WithContext(ctx), kgo.MaxVersions(versions), kgo.ConsumerGroup(cfg.Group),
		kgo.Balancers(noting{kgo.CooperativeStickyBalancer(), cfg.Note}), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(session),
		kgo.HeartbeatInterval(min(cfg.Target.Duration("heartbeat.interval.ms", heartbeat), session/2)),
		kgo.RebalanceTimeout(cfg.Target.Duration("max.poll.interval.ms", rebalance)),
		kgo.RequestTimeoutOverhead(session/2), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.OnPartitionsAssigned(given), kgo.OnPartitionsRevoked(taken), kgo.OnPartitionsLost(lost))
	if err != nil {
		g.end()
		return nil, fmt.Errorf("open group %s: %w", cfg.Group, err)
	}
	g.client.PauseFetchTopics(cfg.Ledger)
	return g, nil
}

// Run joins the group and stays in it until ctx ends; then it lets go of what
// it holds and leaves, so that others need not wait for the session to expire.
// gain and lose are called one at a time; lose returns when the shards have been
// let go. An error is final. It may be called once.
func (g *Group) Run(ctx context.Context, gain func(shard int), lose func(shards []int)) error {
	g.gain, g.lose = gain, lose
	defer g.Close()
	defer g.letAllGo() // before it leaves, while it is still counted as present
	g.client.AddConsumeTopics(g.cfg.Ledger)
	var logged wait.Logged[string] // by group
	for ctx.Err() == nil {
		for _, failed := range g.client.PollFetches(ctx).Errors() {
			switch err := failed.Err; {
			case ctx.Err() != nil:
			case final(err):
				return fmt.Errorf("group %s: %w", g.cfg.Group, g.explain(err))
			case transient(err), !logged.IsNews(g.cfg.Group, err.Error()):
				g.cfg.Log.Debug("group is retrying", "group", g.cfg.Group, "error", err)
			default:
				g.cfg.Log.Warn("group is retrying", "group", g.cfg.Group, "error", g.explain(err), "remedy", remedy)
			}
		}
	}
	return nil
}

const remedy = "it is tried again by itself; without the group no shard is worked on here: if it stays so, look at " +
	"the target's brokers, and at the group with kafka-consumer-groups.sh"

// final tells errors that no retry cures.
func final(err error) bool {
	return errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(err, kerr.TopicAuthorizationFailed) ||
		errors.Is(err, kerr.InvalidSessionTimeout) || errors.Is(err, kgo.ErrClientClosed)
}

// transient tells what a member hears that was thrown out, and joins again.
func transient(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.RebalanceInProgress)
}

// give hands out those of the shards that are not held.
func (g *Group) give(shards []int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range shards {
		if shard := int(p); !g.held[shard] && !g.leaving {
			g.held[shard] = true
			g.gain(shard)
		}
	}
}

// takeBack takes back those of the shards that are held.
func (g *Group) takeBack(shards []int32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []int
	for _, p := range shards {
		if shard := int(p); g.held[shard] {
			delete(g.held, shard)
			list = append(list, shard)
		}
	}
	if len(list) > 0 {
		g.lose(list)
	}
}

// letAllGo takes back all that is held, for good.
func (g *Group) letAllGo() {
	g.cfg.Present(false)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.leaving = true
	if len(g.held) > 0 {
		g.lose(slices.Collect(maps.Keys(g.held)))
		clear(g.held)
	}
}

// Confirm asks the group's coordinator whether the shard is still ours, by a
// commit that only a present member may make. It answers in milliseconds, and
// earlier than any callback would. ErrNotOwner is a final no.
func (g *Group) Confirm(ctx context.Context, shard int) error {
	asking, cancel := context.WithTimeoutCause(ctx, confirmLimit, errNoAnswer)
	defer cancel()
	var why error // of the last try that was answered
	for try := 1; ; try++ {
		err := g.commit(asking, shard)
		if asking.Err() == nil || why == nil {
			why = err
		}
		switch {
		case err == nil:
			return nil
		case notMember(err), g.closed.Load():
			return fmt.Errorf("%w (shard %d: %w)", ErrNotOwner, shard, err)
		case asking.Err() != nil || try == confirmTries:
			return fmt.Errorf("ask group %s for shard %d: %w", g.cfg.Group, shard, g.explain(why))
		}
		_ = wait.Pause(asking, heartbeat/4) // a rebalance or a moving coordinator: it settles within a heartbeat or two
	}
}

var errNoAnswer = fmt.Errorf("the coordinator has not answered within %s", confirmLimit)

// commit commits offset 0 for the shard's ledger partition as this member. It does
// not outlast ctx: the library looks at that only once a request is on its way.
func (g *Group) commit(ctx context.Context, shard int) error {
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group = g.cfg.Group
	request.MemberID, request.Generation = g.client.GroupMetadata()
	if request.Generation < 0 { // an empty group would take that from anybody
		return kerr.UnknownMemberID
	}
	partition := kmsg.NewOffsetCommitRequestTopicPartition()
	partition.Partition = int32(shard)
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.Partitions = g.cfg.Ledger, append(topic.Partitions, partition)
	request.Topics = append(request.Topics, topic)
	answered := make(chan error, 1)
	go func() {
		answer, err := request.RequestWith(ctx, g.client)
		if err == nil {
			err = committed(answer)
		}
		answered <- err
	}()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// committed is the answer for the one partition that was asked about.
func committed(answer *kmsg.OffsetCommitResponse) error {
	if len(answer.Topics) != 1 || len(answer.Topics[0].Partitions) != 1 {
		return kerr.UnknownServerError
	}
	return kerr.ErrorForCode(answer.Topics[0].Partitions[0].ErrorCode)
}

// notMember tells the answers that deny membership. An illegal generation is
// not one: that is a rebalance whose answer has not arrived yet.
func notMember(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.FencedInstanceID)
}

// explain names the right that is missing; the broker does not name the resource.
func (g *Group) explain(err error) error {
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return g.cfg.Target.Denied("Read", "group "+g.cfg.Group, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return g.cfg.Target.Denied("Read", "topic "+g.cfg.Ledger, err)
	case errors.Is(err, kerr.InvalidSessionTimeout):
		return &kafka.Problem{What: fmt.Sprintf("cluster %s does not take the session timeout of group %s", g.cfg.Target.Name,
			g.cfg.Group), Fix: "set session.timeout.ms of the cluster between its brokers' group.min.session.timeout.ms and " +
			"group.max.session.timeout.ms", Err: err}
	case errors.Is(err, errNoAnswer):
		return &kafka.Problem{What: fmt.Sprintf("cluster %s does not answer for group %s", g.cfg.Target.Name, g.cfg.Group),
			Fix: "look at the broker that is the group's coordinator: kafka-consumer-groups.sh --describe --state names it",
			Err: err}
	}
	return g.cfg.Target.Explain(err)
}

// Close leaves the group; it lets go of nothing that Run has given. It may be
// called again.
func (g *Group) Close() {
	g.closing.Do(func() {
		g.closed.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), leaveLimit)
		defer cancel()
		if err := g.client.LeaveGroupContext(ctx); err != nil {
			g.cfg.Log.Debug("leaving the group", "group", g.cfg.Group, "error", err)
		}
		g.end() // the library waits for an answer to a request to join, whoever leaves
		g.client.Close()
	})
}
