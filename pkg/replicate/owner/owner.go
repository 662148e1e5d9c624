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
//     itself was lost: then the shard may already be another member's, and only
//     fencing keeps the two apart;
//  3. what was given is taken back once, whatever the group says or leaves unsaid;
//  4. [Group.Confirm] asks the broker, not our memory.
//
// It reads no record: what is assigned is paused at once.
package owner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	ck "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"replicator/pkg/replicate/kafka"
)

// Config says which group to join.
type Config struct {
	Target kafka.Config
	Group  string // replicator.<from>.<to>
	Ledger string // the topic whose partitions stand for shards
	Log    *slog.Logger
}

// ErrNotOwner says that the broker no longer counts this process as a member
// of the group: what it worked on belongs to others.
var ErrNotOwner = errors.New("this process is no longer the owner")

const (
	session   = 6 * time.Second // the smallest that brokers allow by default: takes over 5 s after a kill
	heartbeat = 1 * time.Second
	pollSlice = 100 * time.Millisecond
	// Confirm asks with a commit, and a coordinator may be moving at that moment.
	confirmTries = 20
)

// Group is the membership of this process. Run it from one goroutine; Confirm
// may be called from any.
type Group struct {
	cfg      Config
	consumer *ck.Consumer
	gain     func(shard int)
	lose     func(shards []int)
	held     map[int]bool // given, not taken back; belongs to Run
	failure  error        // of the last rebalance; belongs to Run
	leaving  bool         // nothing is given any more; belongs to Run
	closing  sync.RWMutex // held for reading while Confirm uses the handle
	closed   bool
}

// Open prepares the membership; [Group.Run] joins.
func Open(cfg Config) (*Group, error) {
	consumer, err := kafka.NewConsumer(cfg.Target, map[string]any{
		"group.id":                      cfg.Group,
		"partition.assignment.strategy": "cooperative-sticky",
		"session.timeout.ms":            int(session.Milliseconds()),
		"heartbeat.interval.ms":         int(heartbeat.Milliseconds()),
		// Polling does nothing else than polling, so the limit only has to be larger than the session's.
		"max.poll.interval.ms":     60_000,
		"enable.auto.commit":       false,
		"enable.auto.offset.store": false,
		"auto.offset.reset":        "latest",
	})
	if err != nil {
		return nil, fmt.Errorf("open group %s: %w", cfg.Group, err)
	}
	return &Group{cfg: cfg, consumer: consumer, held: map[int]bool{}}, nil
}

// Run joins the group and stays in it until ctx ends; then it lets go of what
// it holds and leaves, so that others need not wait for the session to expire.
// gain and lose are called from this goroutine; lose returns when the shards have
// been let go. An error is final: the handle is unusable.
func (g *Group) Run(ctx context.Context, gain func(shard int), lose func(shards []int)) error {
	g.gain, g.lose = gain, lose
	defer g.Close()
	defer func() { // before the handle closes, which does not always tell of a membership that was lost
		g.leaving = true
		g.letGo(slices.Collect(maps.Keys(g.held)))
	}()
	if err := g.consumer.Subscribe(g.cfg.Ledger, g.rebalance); err != nil {
		return fmt.Errorf("subscribe to %s: %w", g.cfg.Ledger, err)
	}
	for ctx.Err() == nil {
		event, ok := g.consumer.Poll(int(pollSlice.Milliseconds())).(ck.Error)
		if g.failure != nil {
			return fmt.Errorf("group %s: rebalance: %w", g.cfg.Group, g.failure)
		}
		if !ok {
			continue
		}
		switch {
		case event.IsFatal(), event.Code() == ck.ErrGroupAuthorizationFailed,
			event.Code() == ck.ErrTopicAuthorizationFailed:
			return fmt.Errorf("group %s: %w", g.cfg.Group, g.explain(event))
		default:
			g.cfg.Log.Debug("group is retrying", "group", g.cfg.Group, "error", event)
		}
	}
	return nil
}

// rebalance runs inside Poll and Close. The library makes nothing of its error:
// Run ends with it.
func (g *Group) rebalance(_ *ck.Consumer, event ck.Event) error {
	switch event := event.(type) {
	case ck.AssignedPartitions:
		if g.failure = g.consumer.IncrementalAssign(event.Partitions); g.failure != nil {
			break
		}
		if g.failure = g.consumer.Pause(event.Partitions); g.failure != nil {
			break
		}
		for _, p := range event.Partitions {
			if shard := int(p.Partition); !g.held[shard] && !g.leaving { // an assignment may come while the handle closes
				g.held[shard] = true
				g.gain(shard)
			}
		}
	case ck.RevokedPartitions:
		shards := make([]int, len(event.Partitions))
		for i, p := range event.Partitions {
			shards[i] = int(p.Partition)
		}
		g.letGo(shards)
		g.failure = g.consumer.IncrementalUnassign(event.Partitions)
	}
	return g.failure
}

// letGo takes back those of the shards that are held.
func (g *Group) letGo(shards []int) {
	shards = slices.DeleteFunc(shards, func(shard int) bool { return !g.held[shard] })
	for _, shard := range shards {
		delete(g.held, shard)
	}
	if len(shards) > 0 {
		g.lose(shards)
	}
}

// Confirm asks the group's coordinator whether the shard is still ours, by a
// commit that only a present member may make. It answers in milliseconds, and
// earlier than any callback would. ErrNotOwner is a final no.
func (g *Group) Confirm(ctx context.Context, shard int) error {
	g.closing.RLock()
	defer g.closing.RUnlock()
	for try := 1; ; try++ {
		if g.closed {
			return ErrNotOwner
		}
		err := g.commit(shard)
		var kerr ck.Error
		switch {
		case err == nil:
			return nil
		case errors.As(err, &kerr) && notMember(kerr.Code()):
			return fmt.Errorf("%w (shard %d: %w)", ErrNotOwner, shard, err)
		case ctx.Err() != nil || try == confirmTries:
			return fmt.Errorf("ask group %s for shard %d: %w", g.cfg.Group, shard, g.explain(err))
		}
		select { // a rebalance or a moving coordinator: it settles within a heartbeat or two
		case <-ctx.Done():
		case <-time.After(heartbeat / 4):
		}
	}
}

// commit commits offset 0 for the shard's ledger partition as this member.
func (g *Group) commit(shard int) error {
	topic := g.cfg.Ledger
	done, err := g.consumer.CommitOffsets([]ck.TopicPartition{
		{Topic: &topic, Partition: int32(shard), Offset: 0},
	})
	for _, p := range done {
		if p.Error != nil {
			return p.Error
		}
	}
	return err
}

// notMember tells the answers that deny membership. An illegal generation is
// not one: that is a rebalance whose answer has not arrived yet.
func notMember(code ck.ErrorCode) bool {
	return code == ck.ErrUnknownMemberID || code == ck.ErrFencedInstanceID
}

// explain names the right that is missing; the broker does not name the resource.
func (g *Group) explain(err error) error {
	var kerr ck.Error
	if errors.As(err, &kerr) {
		switch kerr.Code() {
		case ck.ErrGroupAuthorizationFailed:
			return g.cfg.Target.Denied("Read", "group "+g.cfg.Group, err)
		case ck.ErrTopicAuthorizationFailed:
			return g.cfg.Target.Denied("Read", "topic "+g.cfg.Ledger, err)
		}
	}
	return g.cfg.Target.Explain(err)
}

// Close leaves the group, if Run has not done so; lose is called for what is
// still held. It may be called again.
func (g *Group) Close() {
	if g.consumer.IsClosed() {
		return
	}
	if err := g.consumer.Close(); err != nil {
		g.cfg.Log.Debug("leaving the group", "group", g.cfg.Group, "error", err)
	}
	g.closing.Lock()
	g.closed = true
	g.closing.Unlock()
}
