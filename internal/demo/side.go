package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// side is one embedded cluster and the clients that look at it. They are of
// another library than the engine's, so that both would have to be wrong alike.
type side struct {
	name    string
	address string // host:port
	cluster *kfake.Cluster
	client  *kgo.Client
	admin   *kadm.Client
}

// newSide starts a cluster of one broker on a loopback port that is free.
func newSide(name string) (*side, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ClusterID("demo-"+name))
	if err != nil {
		return nil, fmt.Errorf("start cluster %s: %w", name, err)
	}
	s := &side{name: name, cluster: cluster, address: strings.Join(cluster.ListenAddrs(), ",")}
	if s.client, err = s.open(); err != nil {
		cluster.Close()
		return nil, err
	}
	s.admin = kadm.NewClient(s.client)
	return s, nil
}

// close ends the cluster and its clients.
func (s *side) close() {
	s.client.Close()
	s.cluster.Close()
}

// open opens a client of the cluster.
func (s *side) open(opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.address), kgo.DisableClientMetrics()}, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("open a client of cluster %s: %w", s.name, err)
	}
	return client, nil
}

// partition is one partition of a topic that is mirrored; its name is the same on both sides.
type partition struct {
	topic  string
	number int32
}

func (p partition) String() string { return fmt.Sprintf("%s/%d", p.topic, p.number) }

// span is what a reader may see of a partition: [start, end), end being the last
// stable offset.
type span struct{ start, end int64 }

// sight is what a cluster shows at one moment.
type sight struct {
	bounds    map[partition]span
	positions map[string]map[partition]int64 // by group; what it has committed
	records   reading
}

// see takes the bounds of all partitions and the positions of both groups.
func (s *side) see(ctx context.Context) (sight, error) {
	bounds, err := s.bounds(ctx)
	if err != nil {
		return sight{}, err
	}
	now := sight{bounds: bounds, positions: map[string]map[partition]int64{}}
	for _, group := range []string{mover, settled} {
		answer, err := s.admin.FetchOffsets(ctx, group)
		if err == nil {
			err = answer.Error()
		}
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that is missing stands nowhere
			return sight{}, fmt.Errorf("positions of group %s on %s: %w", group, s.name, err)
		}
		now.positions[group] = map[partition]int64{}
		for topic, list := range answer.Offsets() {
			for number, o := range list {
				if o.At >= 0 {
					now.positions[group][partition{topic, number}] = o.At
				}
			}
		}
	}
	return now, nil
}

// bounds asks for the log starts and last stable offsets of the topics.
func (s *side) bounds(ctx context.Context) (map[partition]span, error) {
	starts, err := s.admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("log starts on %s: %w", s.name, err)
	}
	ends, err := s.admin.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("log ends on %s: %w", s.name, err)
	}
	bounds := map[partition]span{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		bounds[partition{end.Topic, end.Partition}] = span{start.Offset, end.Offset}
	})
	return bounds, nil
}
