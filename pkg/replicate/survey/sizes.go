package survey

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Placement is where the replicas of a partition are; the leader is the first.
type Placement map[chunk.Partition][]int32

// Dir is one log directory of a broker (KIP-827). Total and Usable are bytes of its
// volume, -1 where the broker does not tell them.
type Dir struct {
	Broker        int32
	Path          string
	Total, Usable int64
}

// Sizes are the bytes that leaders keep of partitions, as on disk: batches as they
// were written, compressed or not.
type Sizes map[chunk.Partition]int64

// Placement tells the replicas of all partitions of topics, and the brokers there are.
func (c *Cluster) Placement(ctx context.Context, topics []string) (Placement, []int32, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	if topics == nil {
		topics = []string{}
	}
	request := kafka.MetadataRequest(topics)
	answer, err := request.RequestWith(ctx, c.client)
	if err != nil {
		return nil, nil, c.why(err, "Describe", "topics")
	}
	placed := Placement{}
	for _, topic := range answer.Topics {
		for _, p := range topic.Partitions {
			if topic.Topic == nil || p.Leader < 0 {
				continue
			}
			replicas := []int32{p.Leader}
			for _, r := range p.Replicas {
				if r != p.Leader {
					replicas = append(replicas, r)
				}
			}
			placed[chunk.Partition{Topic: *topic.Topic, Number: p.Partition}] = replicas
		}
	}
	var brokers []int32
	for _, b := range answer.Brokers {
		brokers = append(brokers, b.NodeID)
	}
	slices.Sort(brokers)
	return placed, brokers, nil
}

// Sizes asks all brokers for their log directories: what the leaders keep of the
// placed partitions, and the room that is left. Partitions that no broker told of
// are missing; the error then says why.
func (c *Cluster) Sizes(ctx context.Context, placed Placement) (Sizes, []Dir, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	partitions := make([]chunk.Partition, 0, len(placed))
	for p := range placed {
		partitions = append(partitions, p)
	}
	set := topicSet(partitions)
	if len(partitions) == 0 {
		set = nil // all: the directories of a broker that keeps nothing of a set may be left out
	}
	answers, err := c.admin.DescribeAllLogDirs(ctx, set)
	err = c.why(err, "Describe", "the cluster")
	sizes, dirs := Sizes{}, []Dir{}
	for broker, described := range answers {
		for path, dir := range described {
			if dir.Err != nil {
				err = c.why(dir.Err, "Describe", "the cluster")
				continue
			}
			dirs = append(dirs, Dir{broker, path, dir.TotalBytes, dir.UsableBytes})
			dir.Topics.Each(func(d kadm.DescribedLogDirPartition) {
				p := chunk.Partition{Topic: d.Topic, Number: d.Partition}
				if at := placed[p]; len(at) > 0 && at[0] == broker && !d.IsFuture {
					sizes[p] = d.Size
				}
			})
		}
	}
	slices.SortFunc(dirs, func(a, b Dir) int {
		if a.Broker != b.Broker {
			return int(a.Broker - b.Broker)
		}
		return strings.Compare(a.Path, b.Path)
	})
	if err == nil && len(sizes) < len(placed) {
		// Brokers before 3.0 answer a user without the right with nothing.
		err = c.conf.Denied("Describe", "the cluster", fmt.Errorf("it tells the sizes of %d of %d partitions", len(sizes),
			len(placed)))
	}
	return sizes, dirs, err
}

// Left estimates the bytes behind so many of a log's offsets, from its size.
func Left(size, offsets, span int64) int64 {
	if span <= 0 || offsets <= 0 {
		return 0
	}
	return int64(float64(size) * float64(min(offsets, span)) / float64(span))
}

// Room is what one broker has and what is to come. Usable is -1 where it is not told.
type Room struct {
	Broker int32 `json:"broker"`
	Total  int64 `json:"total_bytes"`
	Usable int64 `json:"usable_bytes"`
	Needed int64 `json:"needed_bytes"`
}

// Short says whether the broker is known to have too little.
func (r Room) Short() bool { return r.Usable >= 0 && r.Usable < r.Needed }

// Load is what one partition adds to a cluster: to the brokers at, or, while these
// are not known, to that many replicas anywhere.
type Load struct {
	Bytes    int64   // of one replica
	At       []int32 // broker ids
	Replicas int
}

// Spread sums up by broker. Replicas that have no place yet are taken as spread
// evenly, which is how brokers place them without racks.
func Spread(brokers []int32, dirs []Dir, loads []Load) []Room {
	rooms := make([]Room, len(brokers))
	at := map[int32]*Room{}
	for i, b := range brokers {
		rooms[i] = Room{Broker: b, Total: -1, Usable: -1}
		at[b] = &rooms[i]
	}
	seen := map[Dir]bool{}
	for _, d := range dirs {
		room := at[d.Broker]
		volume := Dir{Broker: d.Broker, Total: d.Total, Usable: d.Usable}
		if room == nil || d.Usable < 0 || seen[volume] {
			continue // two directories with the same figures are on one volume
		}
		seen[volume] = true
		room.Total, room.Usable = max(room.Total, 0)+d.Total, max(room.Usable, 0)+d.Usable
	}
	var anywhere int64
	for _, l := range loads {
		for _, b := range l.At {
			if room := at[b]; room != nil {
				room.Needed += l.Bytes
			}
		}
		if len(l.At) == 0 {
			anywhere += l.Bytes * int64(l.Replicas)
		}
	}
	for i := range rooms {
		rooms[i].Needed += anywhere / int64(len(rooms))
	}
	return rooms
}
