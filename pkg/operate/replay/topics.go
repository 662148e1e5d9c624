package replay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/scan"
	"replicator/pkg/replicate/sink"
)

// topic is one that is written to.
type topic struct {
	kafka.TopicDescription
	most int // bytes of a batch of several records
}

// batchFrame is what a batch has beside its records, with room to spare.
const batchFrame = 200

// Check refuses what cannot be written as it is, all of it at once, and changes nothing.
func (j *Job) Check(ctx context.Context) error {
	_, err := j.describe(ctx)
	return err
}

// describe looks at the topics that are written to, and refuses those that cannot be.
func (j *Job) describe(ctx context.Context) (map[string]topic, error) {
	client, err := kafka.NewFranz(j.Cluster)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	names := slices.Sorted(maps.Keys(j.Topics))
	if len(names) == 0 {
		return nil, nil
	}
	seen, err := kafka.Describe(ctx, client, j.Cluster, names)
	if err != nil {
		return nil, err
	}
	topics, problems := map[string]topic{}, []error{}
	for _, name := range names {
		t, there := seen.Topics[name]
		if err := j.refusal(name, t, there); err != nil {
			problems = append(problems, err)
			continue
		}
		topics[name] = topic{t, sink.BatchMost - batchFrame}
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return topics, j.readSettings(ctx, client, topics)
}

// refusal is why a topic is not written to; nil: it is.
func (j *Job) refusal(name string, t kafka.TopicDescription, there bool) error {
	rest, ours := strings.CutPrefix(name, j.Prefix)
	switch {
	case !ours:
		return &kafka.Problem{What: fmt.Sprintf("topic %s does not begin with %q: only what does is ours on cluster %s", name,
			j.Prefix, j.Cluster.Name), Fix: "leave it out, or use a configuration that has the cluster without a prefix"}
	case strings.HasPrefix(rest, "__"):
		return &kafka.Problem{What: fmt.Sprintf("topic %s is Kafka's or replicator's own, and is not written to", name),
			Fix: "leave it out"}
	case !there:
		return &kafka.Problem{What: fmt.Sprintf("there is no topic %s on cluster %s", name, j.Cluster.Name),
			Fix: fmt.Sprintf("make it, with %d partitions at least: nothing is made here", j.Topics[name])}
	case t.Err != nil:
		return t.Err
	case t.Partitions < j.Topics[name]:
		return &kafka.Problem{What: fmt.Sprintf("topic %s on cluster %s has %d partitions, and %d are needed", name,
			j.Cluster.Name, t.Partitions, j.Topics[name]), Fix: "add those that it lacks: nothing goes to another partition"}
	case !t.May(kmsg.ACLOperationWrite):
		return j.Cluster.Denied("Write", "topic "+name, nil)
	}
	return nil
}

// readSettings takes over how large batches may be, and refuses topics that would alter times. Where settings may not
// be asked for, the first answer tells.
func (j *Job) readSettings(ctx context.Context, client *kgo.Client, topics map[string]topic) error {
	var problems []error
	err := kafka.TopicConfigs(ctx, client, slices.Sorted(maps.Keys(topics)),
		[]string{"message.timestamp.type", "max.message.bytes"}, func(r *kmsg.DescribeConfigsResponseResource) {
			if kerr.ErrorForCode(r.ErrorCode) != nil {
				return
			}
			t := topics[r.ResourceName]
			for _, c := range r.Configs {
				switch {
				case c.Value == nil:
				case c.Name == "message.timestamp.type" && *c.Value == "LogAppendTime":
					problems = append(problems, &kafka.Problem{What: fmt.Sprintf("topic %s on cluster %s would replace the "+
						"timestamps of records: its message.timestamp.type is LogAppendTime", r.ResourceName, j.Cluster.Name),
						Fix: "set it to CreateTime while records are written, or write to another topic"})
				case c.Name == "max.message.bytes":
					if most, err := strconv.Atoi(*c.Value); err == nil {
						t.most = max(min(t.most, most-batchFrame), 1)
					}
				}
			}
			topics[r.ResourceName] = t
		})
	if err != nil {
		return j.Cluster.Explain(err)
	}
	return errors.Join(problems...)
}

// asked are the cluster's limits of transactions.
func (j *Job) asked(ctx context.Context) (kafka.Limits, error) {
	client, err := kafka.NewFranz(j.Cluster)
	if err != nil {
		return kafka.Limits{}, err
	}
	defer client.Close()
	return kafka.LimitsOf(ctx, client, j.Cluster)
}

// own refuses topics that are to be the job's own, and hold records of which no progress tells.
func (s *session) own(ctx context.Context) error {
	if !s.Own {
		return nil
	}
	asked, err := listoffsets.Open(s.Cluster)
	if err != nil {
		return err
	}
	defer asked.Close()
	begins, err := asked.Earliest(ctx, slices.Collect(maps.Keys(s.topics)))
	if err != nil {
		return err
	}
	scanner := scan.Open(s.Cluster, nil)
	defer scanner.Close() // only read
	for at := range begins {
		if s.known(at.Topic) {
			continue
		}
		from, err := listoffsets.OffsetOf(begins, at)
		if err != nil {
			return err
		}
		_, found, err := scanner.First(ctx, at.Topic, at.Number, offsets.Target(from), -1, true)
		if err != nil {
			return err
		}
		if found || from > 0 {
			return &kafka.Problem{What: fmt.Sprintf("topic %s on cluster %s holds records that this command has not written",
				at.Topic, s.Cluster.Name), Fix: "give another name, of a topic that is not there yet"}
		}
	}
	return nil
}

// known says whether progress of a topic is noted.
func (s *session) known(topic string) bool {
	for at := range s.next {
		if at.Topic == topic {
			return true
		}
	}
	return false
}
