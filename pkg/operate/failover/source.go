package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/seen"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/wait"
)

const (
	// Patience is how long one question to the source may take in all.
	Patience = 4 * time.Second
	// connectWithin is how long one of its brokers may take to be reached, ms: others may live.
	connectWithin = "1500"
	// watchFor is how long the source's ends are watched.
	watchFor = time.Second
	// lately is how long ago a producer has written to count as one that writes: a broker of several may be away for a
	// moment, and its producers go on then.
	lately = 10 * time.Second
)

// source asks the source what it says, within bounds.
type source struct {
	cluster kafka.Config
	client  *kgo.Client
	look    *clients.Clients // of both clusters
	givenUp bool             // nobody wants to know who writes there
	id      string           // of the cluster that the flow has copied from, by its ledger; "": not known

	asked        bool
	answer       handover.Answer
	why          error // why it does not answer, or a part of it
	stable, ends listoffsets.Offsets
	at           time.Time // when the ends were asked for
	writers      []string  // who writes there, but for flows that are left out
	opposite     string    // the flow that brings records of the target; "": none is known

	ours *provenance.SourceWriters // nil: no flow is left out
}

// impatient is a cluster whose brokers are given up soon.
func impatient(cluster kafka.Config) kafka.Config {
	return kafka.With(cluster, map[string]string{"socket.connection.setup.timeout.ms": connectWithin})
}

func openSource(flow *settings.Config, cluster, target kafka.Config, look *clients.Clients) (s *source, err error) {
	s = &source{look: look, cluster: cluster}
	if provenance.AskedOppositeLedger(flow) != "" {
		s.opposite = flow.To + "->" + flow.From
	}
	if s.client, err = kafka.NewFranz(cluster, kgo.RequestRetries(2), kgo.RetryTimeout(Patience)); err != nil {
		return nil, err
	}
	if s.ours, err = provenance.OpenSourceWriters(flow, cluster, target); err != nil {
		s.client.Close()
		return nil, err
	}
	return s, nil
}

func (s *source) close() {
	s.client.Close()
	if s.ours != nil {
		s.ours.Close()
	}
}

// ask asks the source once; an error is the end of ctx.
func (s *source) ask(ctx context.Context) error {
	if s.asked {
		return nil
	}
	topics, answers := s.reach(ctx)
	if answers {
		s.watch(ctx, topics)
	}
	s.asked = ctx.Err() == nil
	return ctx.Err()
}

// reach asks who the source is, and lists the flow's topics there.
func (s *source) reach(ctx context.Context) (topics []string, answers bool) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	s.answer = handover.Silent
	seen, err := kafka.Describe(ctx, s.client, s.cluster, nil)
	switch {
	case err != nil:
		s.why = err
		return nil, false
	case s.id != "" && seen.ID != s.id:
		s.answer = handover.Another
		s.why = fmt.Errorf("cluster %s has the id %s, and the flow has copied from %s", s.cluster.Name, seen.ID, s.id)
		return nil, false
	}
	for name, topic := range seen.Topics {
		if _, verdict := s.look.Policy.Topic(name); verdict.Selected && topic.Err == nil {
			topics = append(topics, name)
		}
	}
	s.answer = handover.Whole
	return topics, true
}

// watch asks for the source's ends, and who writes.
func (s *source) watch(ctx context.Context, topics []string) {
	first := s.offsets(ctx, topics, s.look.SourceOffsets.Ends)
	s.stable, s.ends, s.at = s.offsets(ctx, topics, s.look.SourceOffsets.Stable), first, time.Now()
	s.findOpposite(ctx)
	if s.givenUp || wait.Pause(ctx, watchFor) != nil {
		return
	}
	s.ends, s.at = s.offsets(ctx, topics, s.look.SourceOffsets.Ends), time.Now()
	moved := map[chunk.Partition]stretch{}
	var there []chunk.Partition
	for p, listed := range s.ends {
		before, known := first[p]
		if listed.Err != nil {
			continue
		}
		there = append(there, p)
		if known && before.Err == nil && before.Offset < listed.Offset {
			moved[p] = stretch{before.Offset, listed.Offset}
		}
	}
	writes := s.written(ctx, moved) // who, by topic
	s.name(ctx, there, writes)
	for _, topic := range slices.Sorted(maps.Keys(writes)) {
		text := topic
		if who := slices.Sorted(maps.Keys(writes[topic])); len(who) > 0 {
			text += " (" + strings.Join(who, ", ") + ")"
		}
		s.writers = append(s.writers, text)
	}
}

// offsets asks one question about all partitions; those without an answer make the source a part of itself.
func (s *source) offsets(ctx context.Context, topics []string,
	ask func(context.Context, []string) (listoffsets.Offsets, error)) listoffsets.Offsets {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	listed, err := ask(ctx, topics)
	for _, one := range listed {
		if one.Err != nil {
			err = one.Err
		}
	}
	if err != nil {
		s.answer, s.why = handover.Partly, err
	}
	return listed
}

// lastSeen takes over where a partition's log ended when the source was asked just now. Since when something of it is
// not copied only the ledger tells.
func (s *source) lastSeen(p chunk.Partition, known *partition) {
	end, stable := s.ends[p], s.stable[p]
	if _, there := s.stable[p]; end.Err != nil || stable.Err != nil || !there {
		return
	}
	now := seen.End{High: offsets.Source(end.Offset), Stable: offsets.Source(min(stable.Offset, end.Offset)), Seen: s.at,
		Since: known.end.Since}
	if known.state != nil && now.High <= known.state.Progress {
		now.Since = s.at
	}
	known.end = now
}

// whyText is why the source, or a part of it, did not answer; "": it did.
func (s *source) whyText() string {
	switch {
	case s.why == nil:
		return ""
	case errors.Is(s.why, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %s", Patience)
	}
	return s.why.Error()
}
