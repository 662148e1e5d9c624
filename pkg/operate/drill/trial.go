package drill

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/kafka/glance"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/wait"
)

// trial is the topic that a drill makes on the target, writes to, reads, and deletes. All drills of a flow use the same
// transactional ids: whoever takes them has fenced every other drill, so that what these have left can be deleted
// without asking whether they are at work.
type trial struct {
	flow    *settings.Config
	cluster kafka.Config
	warn    func(what, remedy string)
	client  *kgo.Client // nil: it has not begun
	name    string
	id      chunk.TopicID // of the topic that is there; zero: none is
	written bool          // it holds what a failover writes
}

const (
	// visibleWithin bounds the wait until brokers show what the controller has done.
	visibleWithin = 10 * time.Second
	visiblePoll   = 50 * time.Millisecond
)

// recordKey is the key of all records of a test topic.
const recordKey = "replicator drill"

// record is the value of each.
type record struct {
	Version int       `json:"version"`
	Topic   string    `json:"topic"` // that it was written to
	Shard   int       `json:"shard"` // that it stands for
	Written time.Time `json:"written"`
}

// nameOf is the beginning of the names of a flow's test topics: flows leave out what begins so.
func nameOf(flow *settings.Config) string {
	return fmt.Sprintf("%s__replicator-drill.%s.%s.", flow.TargetPrefix, flow.From, flow.To)
}

// lastPart is what follows: when the drill began, and chance.
var lastPart = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}$`)

// shardsAtOnce is how many shards a failover fences at a time.
const shardsAtOnce = 8

// transactionalIDs are those of the drills of a flow.
func transactionalIDs(flow *settings.Config) []string {
	ids := make([]string, min(flow.Shards, shardsAtOnce))
	for i := range ids {
		ids[i] = fmt.Sprintf("%s.drill.%d", flow.GroupID(), i)
	}
	return ids
}

// begin makes the topic, if it may be deleted again.
func (t *trial) begin(ctx context.Context) (err error) {
	if t.client, err = client(t.cluster); err != nil {
		return err
	}
	if err := ledger.Fence(ctx, t.cluster, transactionalIDs(t.flow)); err != nil {
		return t.cluster.ExplainTransactions(t.flow.GroupID()+".", err)
	}
	if err := t.clear(ctx); err != nil {
		return err
	}
	chance := make([]byte, 6)
	_, _ = rand.Read(chance) // never fails
	t.name = nameOf(t.flow) + time.Now().UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(chance)
	if err := t.mayDelete(ctx); err != nil {
		return err
	}
	return t.create(ctx)
}

// mayDelete asks for the topic's deletion before it is there: who may not is told so.
func (t *trial) mayDelete(ctx context.Context) error {
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &t.name
	if err := t.delete(ctx, topic); err != nil && !gone(err) {
		return err
	}
	return nil
}

func gone(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID)
}

func (t *trial) delete(ctx context.Context, topic kmsg.DeleteTopicsRequestTopic) error {
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.Topics = []kmsg.DeleteTopicsRequestTopic{topic}
	if topic.Topic != nil {
		request.TopicNames = []string{*topic.Topic}
	}
	answer, err := request.RequestWith(ctx, t.client)
	if err != nil {
		return t.cluster.Explain(err)
	}
	for _, one := range answer.Topics {
		err = kerr.ErrorForCode(one.ErrorCode)
	}
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return t.cluster.Denied("Delete", "topic "+t.name, err)
	}
	return err
}

// create makes the topic and waits until the brokers show it.
func (t *trial) create(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = t.name, 1, -1
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = []kmsg.CreateTopicsRequestTopic{topic}
	answer, err := request.RequestWith(asking, t.client)
	if err != nil {
		return t.cluster.Explain(err)
	}
	for _, one := range answer.Topics {
		if err = kerr.ErrorForCode(one.ErrorCode); err == nil {
			t.id = one.TopicID
		}
	}
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return t.cluster.Denied("Create", "the cluster or topic "+t.name, err)
	case err != nil:
		return &kafka.Problem{What: fmt.Sprintf("cluster %s does not make topic %s", t.cluster.Name, t.name), Err: err,
			Fix: "look into the log of its controller: a policy for names, partitions or replicas?"}
	}
	return t.visible(ctx, true)
}

// visible waits until the brokers show the topic, or do not any more.
func (t *trial) visible(ctx context.Context, there bool) error {
	giveUp := time.Now().Add(visibleWithin)
	word := map[bool]string{true: "does not show", false: "still shows"}[there]
	return wait.Until(ctx, visiblePoll, func() (bool, error) {
		seen, err := kafka.Describe(ctx, t.client, t.cluster, []string{t.name})
		if err != nil {
			return false, err
		}
		topic, found := seen.Topics[t.name]
		if found && t.id == (chunk.TopicID{}) {
			t.id = topic.ID
		}
		if found != there && time.Now().After(giveUp) {
			return false, &kafka.Problem{What: fmt.Sprintf("cluster %s %s topic %s after %s", t.cluster.Name, word, t.name,
				visibleWithin), Fix: "look at its controller and brokers: what is changed there comes late"}
		}
		return found == there, nil
	})
}

// fence does what a failover does to each shard, to the test topic: the id is fenced, what it left open is settled, and
// a record is written in a transaction.
func (t *trial) fence(ctx context.Context) error {
	if t.id == (chunk.TopicID{}) {
		return errNothingToDo
	}
	ids := transactionalIDs(t.flow)
	g, fencing := errgroup.WithContext(ctx)
	for first, id := range ids {
		g.Go(func() error {
			for shard := first; shard < t.flow.Shards; shard += len(ids) {
				if err := t.fenceOne(fencing, id, shard); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	t.written = err == nil
	return err
}

// fenceOne does it for one shard.
func (t *trial) fenceOne(ctx context.Context, id string, shard int) error {
	text, err := json.Marshal(record{1, t.name, shard, time.Now().UTC()})
	if err != nil {
		return err
	}
	err = ledger.FenceAndWrite(ctx, t.cluster, t.name, id, 0, []ledger.Record{{Key: []byte(recordKey), Value: text}})
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return t.cluster.Denied("Write", "topic "+t.name, err)
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch), gone(err):
		return t.overtaken(err)
	case err != nil:
		return t.cluster.ExplainTransactions(t.flow.GroupID()+".", err)
	}
	return nil
}

// overtaken is what another drill of the flow brings about: it fences this one, and deletes what it has made.
func (t *trial) overtaken(err error) error {
	return &kafka.Problem{What: fmt.Sprintf("another drill of flow %s has begun meanwhile", t.flow.Name()), Err: err,
		Fix: "let it end, and rehearse again"}
}

// read reads what was written, as a consumer does that has just started.
func (t *trial) read(ctx context.Context) error {
	if !t.written {
		return errNothingToDo
	}
	ours, all, err := t.content(ctx, t.name, true)
	switch {
	case gone(err):
		return t.overtaken(err)
	case err != nil:
		return err
	}
	if ours != all || all != t.flow.Shards {
		return &kafka.Problem{What: fmt.Sprintf("%d records were written to the test topic %s, and %d are there, %d of them "+
			"ours", t.flow.Shards, t.name, all, ours), Fix: "look at its brokers' logs: what is written does not stay"}
	}
	return nil
}

// content counts the records of a topic's one partition, and those that a drill has written to it.
func (t *trial) content(ctx context.Context, name string, committed bool) (ours, all int, err error) {
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	reader, err := glance.Open(t.cluster)
	if err != nil {
		return 0, 0, err
	}
	defer reader.Close()
	_, err = glance.ReadAll(ctx, reader, []string{name}, func(l *glance.Log) {
		ours, all, l.Committed = 0, 0, committed
		l.Take = func(r *kgo.Record) error {
			var said record
			all++
			if bytes.Equal(r.Key, []byte(recordKey)) && json.Unmarshal(r.Value, &said) == nil && said.Topic == name {
				ours++
			}
			return nil
		}
	})
	if errors.Is(err, kerr.TopicAuthorizationFailed) {
		return 0, 0, t.cluster.Denied("Read", "topic "+name, err)
	}
	return ours, all, t.cluster.Explain(err)
}

// end deletes the topic that this drill has made.
func (t *trial) end(ctx context.Context) error {
	if t.id == (chunk.TopicID{}) {
		return errNothingToDo
	}
	return t.remove(ctx)
}

func (t *trial) remove(ctx context.Context) error {
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.TopicID = t.id
	if err := t.delete(ctx, topic); err != nil && !gone(err) {
		return fmt.Errorf("the test topic %s is left: %w", t.name, err)
	}
	t.id = chunk.TopicID{}
	return t.visible(ctx, false)
}

// abandon ends a trial, also one in the middle; what can only be deleted later the next drill deletes.
func (t *trial) abandon() {
	if t.client == nil {
		return
	}
	if t.id != (chunk.TopicID{}) {
		ctx, cancel := context.WithTimeout(context.Background(), visibleWithin)
		_ = t.remove(ctx) // told already, or the next drill tells
		cancel()
	}
	t.client.Close()
}

// clear deletes what drills of this flow have left that were killed.
func (t *trial) clear(ctx context.Context) error {
	seen, err := kafka.Describe(ctx, t.client, t.cluster, nil)
	if err != nil {
		return err
	}
	for name, topic := range seen.Topics {
		last, begins := strings.CutPrefix(name, nameOf(t.flow))
		if !begins || !lastPart.MatchString(last) || topic.Err != nil {
			continue
		}
		ours, all, err := t.content(ctx, name, false)
		switch {
		case gone(err): // another drill has been here
			continue
		case err != nil:
			return err
		}
		if ours != all || topic.Partitions != 1 {
			t.warn(fmt.Sprintf("topic %s on %s has the name of a drill's test topic, and not the content: it is left as "+
				"it is", name, t.cluster.Name), "find out who has written to it")
			continue
		}
		left := trial{flow: t.flow, cluster: t.cluster, client: t.client, name: name, id: topic.ID}
		if err := left.remove(ctx); err != nil {
			return err
		}
		t.warn(fmt.Sprintf("topic %s on %s was left by a drill that did not end, and is deleted now", name,
			t.cluster.Name), "")
	}
	return nil
}
