package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/wait"
)

// Progress is kept in a compacted topic of one partition, beside the records, and not as a group's positions: those are
// forgotten after offsets.retention.minutes, and what was written would be written again.

func (j *Job) progressTopic() string { return j.Prefix + "__replicator_replayed" }

// noted is how far one partition of a topic with that id was written.
type noted struct {
	Version int       `json:"version"`
	Topic   string    `json:"topic"`
	Next    int64     `json:"next"` // position
	At      time.Time `json:"at"`
}

func (s *session) noteKey(at chunk.Partition) string {
	return fmt.Sprintf("%s/%s/%d", s.Name, s.topics[at.Topic].ID, at.Number)
}

func (s *session) note(at chunk.Partition, next int64) chunk.LedgerRecord {
	text, err := json.Marshal(noted{1, at.Topic, next, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		panic(err) // it has numbers, a name and a time
	}
	return chunk.LedgerRecord{Key: []byte(s.noteKey(at)), Value: text}
}

// settleWait is how long others, who write there as well, may have a transaction open.
const (
	settleWait  = time.Minute
	settleEvery = 50 * time.Millisecond
)

// readProgress reads how far each partition is written: all that was committed before.
func (s *session) readProgress(ctx context.Context) (map[chunk.Partition]int64, error) {
	client, err := kafka.NewFranz(s.Cluster)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	end, err := s.settled(ctx)
	if err != nil {
		return nil, err
	}
	byKey := map[string]int64{}
	_, err = glance.ReadAll(ctx, client, []string{s.progressTopic()}, func(l *glance.Log) {
		l.Committed, l.End = true, end
		l.Take = func(r *kgo.Record) error {
			var n noted
			if err := json.Unmarshal(r.Value, &n); err != nil || n.Version != 1 {
				return &kafka.Problem{What: fmt.Sprintf("topic %s on cluster %s holds at offset %d what no release up to this one "+
					"has written", s.progressTopic(), s.Cluster.Name, r.Offset), Fix: "use the release that wrote it, or a later one"}
			}
			byKey[string(r.Key)] = n.Next
			return nil
		}
	})
	if err != nil {
		return nil, err
	}
	next := map[chunk.Partition]int64{}
	for name, t := range s.topics {
		for n := range t.Partitions {
			at := chunk.Partition{Topic: name, Number: int32(n)}
			if position, there := byKey[s.noteKey(at)]; there {
				next[at] = position
			}
		}
	}
	return next, nil
}

// settled is the end of the topic, once all below it is decided.
func (s *session) settled(ctx context.Context) (int64, error) {
	asked, err := listoffsets.Open(s.Cluster)
	if err != nil {
		return 0, err
	}
	defer asked.Close()
	topic, at := []string{s.progressTopic()}, chunk.Partition{Topic: s.progressTopic()}
	listed, err := asked.Ends(ctx, topic)
	if err != nil {
		return 0, err
	}
	end, err := listoffsets.OffsetOf(listed, at)
	if err != nil {
		return 0, err
	}
	limit := time.Now().Add(settleWait)
	err = wait.Until(ctx, settleEvery, func() (bool, error) {
		listed, err := asked.Stable(ctx, topic)
		if err != nil {
			return false, err
		}
		stable, err := listoffsets.OffsetOf(listed, at)
		if err == nil && stable < end && time.Now().After(limit) {
			err = fmt.Errorf("a transaction on topic %s has been open for %s", s.progressTopic(), settleWait)
		}
		return stable >= end, err
	})
	return end, err
}

// ensureProgress makes the topic that keeps progress, unless it is there.
func (j *Job) ensureProgress(ctx context.Context) error {
	client, err := kafka.NewFranz(j.Cluster)
	if err != nil {
		return err
	}
	defer client.Close()
	name := j.progressTopic()
	compact := "compact"
	made, err := kadm.NewClient(client).CreateTopic(ctx, 1, -1, map[string]*string{"cleanup.policy": &compact}, name)
	if err == nil {
		err = made.Err
	}
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists), err == nil:
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		seen, failed := kafka.Describe(ctx, client, j.Cluster, []string{name})
		if failed == nil && seen.Topics[name].Partitions > 0 {
			break // somebody has made it by hand
		}
		return j.Cluster.Denied("Create", "topic "+name, err)
	default:
		return j.Cluster.Explain(fmt.Errorf("create topic %s: %w", name, err))
	}
	return j.keeps(ctx, client)
}

// keeps refuses a topic that would forget progress.
func (j *Job) keeps(ctx context.Context, client *kgo.Client) error {
	name := j.progressTopic()
	cleanups, err := kafka.Cleanups(ctx, client, []string{name})
	if err != nil {
		return j.Cluster.Explain(err)
	}
	if c := cleanups[name]; c.Err == nil && (c.Deletes || !c.Compacts) {
		return &kafka.Problem{What: fmt.Sprintf("topic %s on cluster %s is not kept: its cleanup.policy is not compact "+
			"alone, and what was written would be forgotten", name, j.Cluster.Name), Fix: "set its cleanup.policy to compact"}
	}
	return nil
}
