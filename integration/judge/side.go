package judge

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Sides names the two clusters. Source and Target are bootstrap addresses,
// separated by commas. Rename says what a source topic is called on the target, and
// RenameGroup says it of a group; nil means the same. The options are added to each side's client, for SASL or TLS.
type Sides struct {
	Source, Target         string
	Rename                 func(topic string) string
	RenameGroup            func(group string) string
	SourceOpts, TargetOpts []kgo.Opt
}

func (s Sides) targetName(topic string) string {
	if s.Rename == nil {
		return topic
	}
	return s.Rename(topic)
}

func (s Sides) targetGroup(group string) string {
	if s.RenameGroup == nil {
		return group
	}
	return s.RenameGroup(group)
}

// open connects to both clusters; close must be called, also after an error.
func (s Sides) open() (source, target *side, err error) {
	if source, err = openSide("source", s.Source, s.SourceOpts); err != nil {
		return nil, nil, err
	}
	if target, err = openSide("target", s.Target, s.TargetOpts); err != nil {
		source.close()
		return nil, nil, err
	}
	return source, target, nil
}

// partition is one partition as its own cluster calls it.
type partition struct {
	topic  string
	number int32
}

func (p partition) String() string { return fmt.Sprintf("%s/%d", p.topic, p.number) }

// extent is what a cluster said about a partition: who leads it, which topic it
// belongs to, and the offsets [start, stable) that hold everything visible.
type extent struct {
	leader        int32
	id            kadm.TopicID
	start, stable int64
}

type side struct {
	name   string // "source" or "target", for messages
	client *kgo.Client
	admin  *kadm.Client
}

func openSide(name, bootstrap string, extra []kgo.Opt) (*side, error) {
	opts := append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...),
		kgo.ClientID("judge-" + name),
		kgo.MetadataMinAge(retryEvery),  // topics appear while the judge waits for them
		kgo.BrokerMaxReadBytes(1 << 30), // one batch may be larger than any sensible limit
		kgo.FetchMaxBytes(1 << 29),      // kgo refuses a read limit below its own fetch limit
		kgo.AlwaysRetryEOF(),            // a broker that comes back, not one that speaks another protocol
	}, extra...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("open %s %s: %w", name, bootstrap, err)
	}
	return &side{name: name, client: client, admin: kadm.NewClient(client)}, nil
}

func (s *side) close() { s.client.Close() }

// extents asks for all partitions of the topics. A topic that does not exist
// is left out of the answer, which is no error: it may be created later.
func (s *side) extents(ctx context.Context, topics []string) (map[partition]extent, error) {
	found := map[partition]extent{}
	if len(topics) == 0 {
		return found, nil // kadm takes an empty list for "all topics"
	}
	meta, err := s.admin.Metadata(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("metadata of the %s: %w", s.name, err)
	}
	var existing []string
	for name, topic := range meta.Topics {
		switch {
		case errors.Is(topic.Err, kerr.UnknownTopicOrPartition):
			continue
		case topic.Err != nil:
			return nil, fmt.Errorf("metadata of %s on the %s: %w", name, s.name, topic.Err)
		}
		existing = append(existing, name)
		for number, p := range topic.Partitions {
			found[partition{name, number}] = extent{leader: p.Leader, id: topic.ID}
		}
	}
	if len(existing) == 0 {
		return found, nil
	}
	starts, err := s.admin.ListStartOffsets(ctx, existing...)
	if err != nil {
		return nil, fmt.Errorf("log starts of the %s: %w", s.name, err)
	}
	stable, err := s.admin.ListCommittedOffsets(ctx, existing...)
	if err != nil {
		return nil, fmt.Errorf("last stable offsets of the %s: %w", s.name, err)
	}
	for p, e := range found {
		first, ok1 := starts.Lookup(p.topic, p.number)
		last, ok2 := stable.Lookup(p.topic, p.number)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("offsets of %s on the %s: not in the answer", p, s.name)
		}
		if err := errors.Join(first.Err, last.Err); err != nil {
			return nil, fmt.Errorf("offsets of %s on the %s: %w", p, s.name, err)
		}
		e.start, e.stable = first.Offset, last.Offset
		found[p] = e
	}
	return found, nil
}
