package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Patience is how long one question to a source may take that need not answer.
const Patience = 5 * time.Second

// impatient are librdkafka's properties for clients that ask such a source: how long one of its brokers may take to be
// reached, and to answer, ms. Others may live.
var impatient = map[string]string{"socket.connection.setup.timeout.ms": "1500", "socket.timeout.ms": "2000"}

// patient are those for clients that ask the target meanwhile: without it there is no answer.
var patient = map[string]string{"socket.connection.setup.timeout.ms": "3000", "socket.timeout.ms": "5000"}

// Impatient is a cluster for clients that ask whether it answers: a broker that does not is waited for once.
func Impatient(cluster kafka.Config) kafka.Config {
	cluster = kafka.With(cluster, impatient)
	cluster.Silence = kafka.NewSilence()
	return cluster
}

// OpenTolerant is [Open] for verbs that tell what ledger and target know where the source does not answer: no
// question to it lasts longer than [Patience], and what it does not answer is unknown in the snapshots.
func OpenTolerant(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config,
	log *slog.Logger) (*Viewer, error) {
	v := &Viewer{tolerant: &tolerance{}, asks: Impatient(clusters[flow.From]),
		asksTarget: kafka.With(clusters[flow.To], patient)}
	v.asksTarget.Silence = kafka.NewSilence()
	return open(ctx, clusters, flow, log, v)
}

// tolerance is how a viewer makes do without answers of the source; nil: it does not.
type tolerance struct {
	asked time.Time // when the source was last asked whether it answers, in vain
}

// Tolerant says whether a viewer makes do without answers of the source.
func Tolerant(v *Viewer) bool { return v.tolerant != nil }

// Bounded bounds a question of a viewer to the source.
func Bounded(ctx context.Context, v *Viewer) (context.Context, context.CancelFunc) {
	if !Tolerant(v) {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, Patience)
}

// askSource asks the source who it is. That it does not answer is no error for a tolerant viewer, but noted in Away.
func (v *Viewer) askSource(ctx context.Context) error {
	if v.Away != nil && time.Since(v.tolerant.asked) < Patience {
		return nil // one command asks several times
	}
	asking, cancel := Bounded(ctx, v)
	defer cancel()
	source, err := kafka.Describe(asking, v.SourceClient, v.SourceCluster, []string{})
	if err == nil {
		v.SourceID, v.Away = source.ID, nil
		return nil
	}
	if !Tolerant(v) || ctx.Err() != nil {
		return err
	}
	noteAway(v, err)
	return nil
}

// noteAway notes why the source does not answer.
func noteAway(v *Viewer, err error) {
	v.Away, v.tolerant.asked = away(v.SourceCluster, err), time.Now()
}

// away says that the source does not answer, with what to do.
func away(source kafka.Config, err error) error {
	fix := chunk.Remedy(err)
	if fix == "" {
		fix = "see whether its brokers run, and can be reached from here"
	}
	return &kafka.Problem{Err: err, Fix: fix, What: fmt.Sprintf("the source, cluster %s, does not answer: what is told "+
		"is what ledger and target know", source.Name)}
}

// takeAlone takes a snapshot without the source: topics and partitions are those that the ledger knows, and where the
// source's logs end is not known.
func takeAlone(ctx context.Context, v *Viewer, wanted func(topic string) bool) (*Snapshot, error) {
	snap := &Snapshot{policy: v.Policy, shards: v.Flow.Shards, Away: v.Away, Alone: true, Taken: time.Now(),
		Source: &kafka.Description{Topics: map[string]kafka.TopicDescription{}}, Problems: []error{v.Away}}
	var err error
	if snap.Target, err = kafka.Describe(ctx, v.TargetClient, v.TargetCluster, nil); err != nil {
		return nil, err
	}
	t := &taker{snap, v}
	for name, topic := range snap.Target.Topics {
		if source, named := v.Policy.SourceTopic(name); named && topic.Err == nil && t.selects(source) {
			snap.Targets = append(snap.Targets, name)
		}
	}
	if snap.earliest, err = v.TargetOffsets.Earliest(ctx, snap.Targets); err != nil {
		return nil, err
	}
	if snap.stable, err = v.TargetOffsets.Stable(ctx, snap.Targets); err != nil {
		return nil, err
	}
	if err := t.readLedger(ctx); err != nil {
		return nil, err
	}
	if len(snap.Books) == 0 && snap.LedgerErr == nil { // then nobody knows anything
		return nil, fmt.Errorf("flow %s: %w", v.Flow.Name(), errors.Unwrap(v.Away))
	}
	t.knowTopics(wanted)
	return snap, nil
}

// selects says whether the flow copies a topic of the source.
func (t *taker) selects(topic string) bool {
	_, verdict := t.viewer.Policy.Topic(topic)
	return verdict.Selected
}

// knowTopics takes the topics of the source from the ledger. Of several that had one name it is the last, whose records
// stand furthest on the target's topic of now.
func (t *taker) knowTopics(wanted func(topic string) bool) {
	t.keys = map[chunk.Partition]ledger.Key{}
	topics := t.Source.Topics
	know := func(p chunk.Partition) bool {
		if !wanted(p.Topic) || !t.selects(p.Topic) {
			return false
		}
		topics[p.Topic] = kafka.TopicDescription{Partitions: max(topics[p.Topic].Partitions, int(p.Number)+1)}
		return true
	}
	for i := range t.Books {
		book := &t.Books[i]
		for _, key := range book.Keys() {
			before, several := t.keys[key.Partition]
			if know(key.Partition) && (!several || t.later(book.State(key), book.State(before))) {
				t.keys[key.Partition] = key
			}
		}
		for _, topic := range book.Seen.Topics {
			for _, p := range topic.Partitions {
				know(chunk.Partition{Topic: topic.Topic, Number: p.Partition})
			}
		}
	}
	t.Topics = slices.Collect(maps.Keys(topics))
}

// later says whether a state of a partition is about a topic that came after the other one's.
func (t *taker) later(a, b *ledger.State) bool {
	now := func(s *ledger.State) bool {
		for _, name := range t.Targets {
			if t.Target.Topics[name].ID == s.TargetTopic {
				return true
			}
		}
		return false
	}
	if here := now(a); here != now(b) {
		return here
	}
	return a.Expected() > b.Expected()
}
