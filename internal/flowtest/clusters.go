package flowtest

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/integration/workload"
	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Commit makes a plain consumer's commit on the source.
func (w *World) Commit(group, topic string, number int32, at int64) {
	w.T.Helper()
	w.Must("commit", workload.Commit(w.Ctx, w.Sides.Source,
		[]workload.Position{{Group: group, Topic: topic, Partition: number, At: at}}))
}

// Id is a topic's id on a cluster, zero if it is not there.
func (w *World) Id(admin *kadm.Client, topic string) chunk.TopicID {
	w.T.Helper()
	meta, err := admin.Metadata(w.Ctx, topic)
	w.Must("metadata", err)
	if meta.Topics[topic].Err != nil {
		return chunk.TopicID{}
	}
	return chunk.TopicID(meta.Topics[topic].ID)
}

// Delete deletes a topic and waits until it is gone.
func (w *World) Delete(admin *kadm.Client, topic string) {
	w.T.Helper()
	_, err := admin.DeleteTopic(w.Ctx, topic)
	w.Must("delete topic", err)
}

// CutTarget makes a target with 60 records of orders/0, of which it keeps the log, and then a
// source with 100. The log can be put back while the ledger stays.
func (w *World) CutTarget() (saved kafkatest.Saved) {
	w.T.Helper()
	w.Target = kafkatest.OnDisk(w.T, kfake.ClusterID("new"))
	w.Sides.Target, w.To = w.Target.Address(), w.Target.Admin()
	w.Tune = func(o *replicate.Options) { o.TroubleFor = 2 * time.Second }
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 60)
	r := w.Start(nil)
	w.Equal([]string{"orders"})
	r.Stop()
	saved = w.Target.SaveLog("orders", 0)
	w.Plain(w.Sides.Source, "orders", 0, 40)
	return saved
}

// SourceOnDisk gives the world a source that can be put back.
func (w *World) SourceOnDisk() {
	w.T.Helper()
	w.Source = kafkatest.OnDisk(w.T, kfake.ClusterID("old"))
	w.Sides.Source, w.From = w.Source.Address(), w.Source.Admin()
}

// WriteOnTarget writes as applications do after a cutover.
func (w *World) WriteOnTarget(topic string, n int) {
	w.T.Helper()
	w.seed++
	_, err := workload.Mixed(w.Ctx, w.Sides.Target, topic, workload.MixedSpec{
		Seed: w.seed, Records: n, Partitions: 3, From: w.Written})
	w.Must("write on the target", err)
	w.Written += n
}

// OnTarget translates an offset of partition 0.
func (w *World) OnTarget(look *snapshot.Viewer, topic string, at int64) *inspect.Translation {
	w.T.Helper()
	t, err := inspect.Translate(w.Ctx, look, chunk.Partition{Topic: topic}, offsets.Source(at))
	w.Must("translate", err)
	return t
}

// MakeTopic creates a topic with one partition on a cluster.
func (w *World) MakeTopic(bootstrap, topic string) error {
	return workload.Topics(w.Ctx, bootstrap, 1, workload.KeepConfigs(), topic)
}

// Setting alters a topic of a cluster.
func (w *World) Setting(admin *kadm.Client, topic, key, value string) {
	w.T.Helper()
	answers, err := admin.AlterTopicConfigs(w.Ctx, []kadm.AlterConfig{{Name: key, Value: &value}}, topic)
	w.Must("alter", err)
	w.Must("alter", answers[0].Err)
}

// FortyLater makes a world of 100 records in orders/0, of which one side can be put back to the first 60.
func (w *World) FortyLater(source bool) (putBack func()) {
	w.T.Helper()
	if !source {
		saved := w.CutTarget()
		return func() { w.Target.Restore(saved) }
	}
	w.SourceOnDisk()
	w.Topic("orders", 1)
	w.Plain(w.Sides.Source, "orders", 0, 60)
	saved := w.Source.Save()
	w.Plain(w.Sides.Source, "orders", 0, 40)
	return func() { w.Source.Restore(saved) }
}

// DeleteBelow deletes the records of a partition below an offset, as retention does.
func (w *World) DeleteBelow(admin *kadm.Client, topic string, number int32, at int64) {
	w.T.Helper()
	var below kadm.Offsets
	below.AddOffset(topic, number, at, -1)
	answers, err := admin.DeleteRecords(w.Ctx, below)
	w.Must("delete records", err)
	w.Must("delete records", answers.Error())
}

// Cluster starts one more cluster; name is its id.
func (w *World) Cluster(name string, opts ...kfake.Opt) (*kafkatest.Cluster, string, *kadm.Client) {
	w.T.Helper()
	fake := kafkatest.Start(w.T, append([]kfake.Opt{kfake.ClusterID(name)}, opts...)...)
	return fake, fake.Address(), fake.Admin()
}

// Kafka is the configuration of a cluster.
func (w *World) Kafka(name, bootstrap string) kafka.Config {
	return kafka.Config{Name: name, Properties: map[string]string{"bootstrap.servers": bootstrap}}
}

// Clusters are both, by the names that the flow has for them.
func (w *World) Clusters() map[string]kafka.Config {
	return map[string]kafka.Config{"old": w.Kafka("old", w.Sides.Source), "new": w.Kafka("new", w.Sides.Target)}
}

// Topic creates a source topic that keeps everything.
func (w *World) Topic(name string, partitions int32) {
	w.T.Helper()
	w.Must("create topic", workload.Topics(w.Ctx, w.Sides.Source, partitions, workload.KeepConfigs(), name))
}

// Mixed writes transactional data with aborted transactions to a source topic.
func (w *World) Mixed(topic string, partitions, records int) {
	w.T.Helper()
	w.seed++
	_, err := workload.Mixed(w.Ctx, w.Sides.Source, topic, workload.MixedSpec{
		Seed: w.seed, Records: records, Partitions: partitions, From: w.Written})
	w.Must("write", err)
	w.Written += records
}

// Plain writes n small records to one partition of a cluster, outside of transactions.
func (w *World) Plain(bootstrap, topic string, partition int32, n int) {
	w.T.Helper()
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Partition: partition, Value: fmt.Appendf(nil, "plain-%d", w.Written)}
		w.Written++
	}
	w.Must("write", workload.Produce(w.Ctx, bootstrap, topic, records...))
}
