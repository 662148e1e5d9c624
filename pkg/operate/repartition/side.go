package repartition

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/wire"
	announce "replicator/pkg/versions"
	"replicator/pkg/versions/tail"
)

// side is one cluster.
type side struct {
	cfg    kafka.Config
	client *kgo.Client
	admin  *kadm.Client
	id     string // of the cluster: announced offsets go by it
}

func openSide(ctx context.Context, cfg kafka.Config) (*side, error) {
	client, err := kafka.NewFranz(cfg)
	if err != nil {
		return nil, err
	}
	id, err := announce.ClusterID(ctx, client)
	if err != nil {
		client.Close()
		return nil, cfg.Explain(err)
	}
	return &side{cfg, client, kadm.NewClient(client), id}, nil
}

// topic is one Kafka topic as it is now.
type topic struct {
	name       string
	exists     bool
	id         [16]byte
	partitions int32
	replicas   int16
}

// describe asks the cluster itself: kadm may answer from memory.
func (s *side) describe(ctx context.Context, name string) (topic, error) {
	answer, err := kafka.MetadataRequest([]string{name}).RequestWith(ctx, s.client)
	if err != nil {
		return topic{}, s.cfg.Explain(err)
	}
	t := topic{name: name}
	for _, found := range answer.Topics {
		err := kerr.ErrorForCode(found.ErrorCode)
		if err == kerr.UnknownTopicOrPartition {
			return t, nil
		}
		if err != nil {
			return t, s.cfg.Explain(fmt.Errorf("topic %s: %w", name, err))
		}
		t.exists, t.id, t.partitions = true, found.TopicID, int32(len(found.Partitions))
		for _, p := range found.Partitions {
			t.replicas = max(t.replicas, int16(len(p.Replicas)))
		}
	}
	return t, nil
}

// span is where the log of each partition begins and ends.
func (s *side) span(ctx context.Context, t topic) (first, last []int64, err error) {
	starts, err := s.admin.ListStartOffsets(ctx, t.name)
	if err == nil {
		first, err = each(starts, t)
	}
	if err != nil {
		return nil, nil, s.cfg.Explain(err)
	}
	last, err = s.ends(ctx, t)
	return first, last, err
}

// ends are the high watermarks.
func (s *side) ends(ctx context.Context, t topic) ([]int64, error) {
	listed, err := s.admin.ListEndOffsets(ctx, t.name)
	if err != nil {
		return nil, s.cfg.Explain(err)
	}
	at, err := each(listed, t)
	return at, s.cfg.Explain(err)
}

// stable are the last stable offsets.
func (s *side) stable(ctx context.Context, t topic) ([]int64, error) {
	listed, err := s.admin.ListCommittedOffsets(ctx, t.name)
	if err != nil {
		return nil, s.cfg.Explain(err)
	}
	at, err := each(listed, t)
	return at, s.cfg.Explain(err)
}

func each(listed kadm.ListedOffsets, t topic) ([]int64, error) {
	if err := listed.Error(); err != nil {
		return nil, fmt.Errorf("offsets of %s: %w", t.name, err)
	}
	at := make([]int64, t.partitions)
	for p := range at {
		o, ok := listed.Lookup(t.name, int32(p))
		if !ok {
			return nil, fmt.Errorf("offsets of %s/%d: %w", t.name, p, kerr.UnknownTopicOrPartition)
		}
		at[p] = o.Offset
	}
	return at, nil
}

// visibleEnd is the offset behind the last visible record of [first,last); first if
// there is none.
func (s *side) visibleEnd(ctx context.Context, name string, p int32, first, last int64) (int64, error) {
	for window := int64(1000); ; window *= 8 {
		from := max(first, last-window)
		end := from
		reader := tail.New(s.client, name, p)
		reader.Unpack(wire.Decompressor{})
		found := false
		for at := from; at < last; {
			answer, err := reader.Fetch(ctx, at, 0)
			if err != nil {
				return 0, s.cfg.Explain(err)
			}
			for _, r := range answer.Records {
				if r.Offset < last {
					end, found = r.Offset+1, true
				}
			}
			at = answer.Next
		}
		if found || from == first {
			return end, nil
		}
	}
}

// visibleEnds are those of all partitions, up to the given ends.
func (s *side) visibleEnds(ctx context.Context, t topic, ends []int64) ([]int64, error) {
	first, _, err := s.span(ctx, t)
	if err != nil {
		return nil, err
	}
	at := make([]int64, len(ends))
	for p := range at {
		if at[p], err = s.visibleEnd(ctx, t.name, int32(p), first[p], ends[p]); err != nil {
			return nil, err
		}
	}
	return at, nil
}

// announce writes what holds of a version now, and waits until it is acknowledged.
func (s *side) announce(ctx context.Context, v announce.Version) error {
	r := &kgo.Record{Topic: announce.Meta, Partition: 0, Key: []byte(v.Key()), Value: v.Encode()}
	if err := s.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		return s.cfg.Explain(fmt.Errorf("announce %s: %w", v.Key(), err))
	}
	return nil
}
