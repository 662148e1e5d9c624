package failover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/survey"
)

// stretch is what was written to a partition while it was watched.
type stretch struct{ from, to int64 }

// silence is what was found about writers, in words, if there are none.
func (s *source) silence() string {
	name := s.cluster.Name
	switch {
	case s.answer == handover.Silent:
		return name + " does not answer: whether somebody writes there is not known"
	case s.answer == handover.Another:
		return "another cluster answers in the place of " + name + ": whether somebody writes to the former one is not known"
	case s.givenUp:
		return name + " is said to be dead: nobody is asked who writes there"
	case s.answer == handover.Partly:
		return "nobody writes to " + name + ", as far as it answers"
	}
	return "nobody writes to " + name
}

// findOpposite finds the flow in the opposite direction by its ledger on the source.
func (s *source) findOpposite(ctx context.Context) {
	if s.ours == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	if flow, err := s.ours.Opposite(ctx); err == nil {
		s.opposite = flow
	}
}

// written are the topics to which somebody has written who is no flow that is left out. A log that cannot be read in
// time counts as such a one: not to ask is no reason to give a source up.
func (s *source) written(ctx context.Context, moved map[chunk.Partition]stretch) map[string]map[string]bool {
	writes := map[string]map[string]bool{}
	left := moved
	if s.ours != nil && len(moved) > 0 {
		ctx, cancel := context.WithTimeout(ctx, Patience)
		defer cancel()
		left = s.strangers(ctx, moved)
	}
	for p := range left {
		writes[p.Topic] = map[string]bool{}
	}
	return writes
}

// strangers are the partitions of which not all is known to be written by flows that are left out. Logs are read as
// they are, with open transactions: an application may write behind one.
func (s *source) strangers(ctx context.Context, moved map[chunk.Partition]stretch) map[chunk.Partition]stretch {
	from, left := map[string]map[int32]kgo.Offset{}, maps.Clone(moved)
	for p, at := range moved {
		if from[p.Topic] == nil {
			from[p.Topic] = map[int32]kgo.Offset{}
		}
		from[p.Topic][p.Number] = kgo.NewOffset().At(at.from)
	}
	client, err := kafka.NewFranz(s.cluster, kgo.ConsumePartitions(from), kgo.KeepControlRecords())
	if err != nil {
		return left
	}
	defer client.Close()
	strange := map[chunk.Partition]bool{}
	for len(strange) < len(left) {
		fetches := client.PollFetches(ctx)
		if fetches.Err() != nil {
			break
		}
		fetches.EachRecord(func(r *kgo.Record) {
			p := chunk.Partition{Topic: r.Topic, Number: r.Partition}
			at, reads := left[p]
			switch {
			case !reads || strange[p]:
			case r.Offset < at.to && !s.brings(ctx, r.ProducerID):
				strange[p] = true
			case r.Offset >= at.to-1:
				delete(left, p)
			}
		})
	}
	return left
}

// brings says whether a flow that is left out is known to write under a producer id.
func (s *source) brings(ctx context.Context, producer int64) bool {
	if s.ours == nil {
		return false
	}
	brings, err := s.ours.Brings(ctx, producer, s.at)
	return brings && err == nil
}

// name adds the producers that have written lately, as far as brokers tell of them (KIP-664).
func (s *source) name(ctx context.Context, partitions []chunk.Partition, writes map[string]map[string]bool) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	cluster := survey.Of(s.cluster, s.client)
	seen, _ := cluster.Producers(ctx, partitions) // that ends move is seen without them
	now := time.Now()
	var active []survey.Producer
	var ids []int64
	for _, p := range seen {
		if age := now.Sub(p.Last); age.Abs() < lately && !s.brings(ctx, p.ID) {
			active, ids = append(active, p), append(ids, p.ID)
		}
	}
	slices.Sort(ids)
	open, _ := cluster.Transactions(ctx, slices.Compact(ids))
	byID := map[int64]string{}
	for _, t := range open {
		byID[t.Producer] = t.ID
	}
	for _, p := range active {
		if writes[p.Partition.Topic] == nil {
			writes[p.Partition.Topic] = map[string]bool{}
		}
		who := fmt.Sprintf("producer id %d", p.ID)
		if id := byID[p.ID]; id != "" {
			who = "transactional id " + id
		}
		writes[p.Partition.Topic][who] = true
	}
}
