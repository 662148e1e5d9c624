package flowtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/internal/kafkatest"
	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Lookout is two clusters with one topic of one partition, and a ledger that a test
// writes by hand: no process copies.
type Lookout struct {
	T              *testing.T
	Ctx            context.Context
	Source, Target *kafkatest.Cluster
	Cfg            settings.Config
	key            ledger.Key
	shard          *ledger.Shard
	Foreign        *offsets.Stretch // noted with the next runs
}

// LookoutTopic is the only topic of a [Lookout].
const LookoutTopic = "orders"

// NewLookout starts the clusters, and makes the topic on both and the ledger.
func NewLookout(t *testing.T) *Lookout {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	l := &Lookout{T: t, Ctx: ctx, shard: ledger.NewShard(), Cfg: settings.DefaultConfig()}
	l.Cfg.From, l.Cfg.To, l.Cfg.Shards = "old", "new", 1
	l.Source, l.Target = kafkatest.Start(t, kfake.ClusterID("source-id")), kafkatest.Start(t, kfake.ClusterID("target-id"))
	l.Source.Topic(LookoutTopic, 1)
	l.Target.Topic(LookoutTopic, 1)
	l.Target.Topic(l.Cfg.LedgerTopic(), 1)
	l.key = ledger.Key{Topic: chunk.TopicID(l.Source.TopicInfo(LookoutTopic).TopicID), Partition: l.Partition()}
	return l
}

// Partition is the only one.
func (l *Lookout) Partition() chunk.Partition { return chunk.Partition{Topic: LookoutTopic} }

// Begin opens a transaction on the target.
func (l *Lookout) Begin(id string) *kgo.Client {
	l.T.Helper()
	client := l.Target.Writer(kgo.TransactionalID(id))
	if err := client.BeginTransaction(); err != nil {
		l.T.Fatal(err)
	}
	return client
}

// End ends a transaction of Begin.
func (l *Lookout) End(client *kgo.Client, try kgo.TransactionEndTry) {
	l.T.Helper()
	if err := client.EndTransaction(l.Ctx, try); err != nil {
		l.T.Fatal(err)
	}
}

// Data writes n records to a topic.
func (l *Lookout) Data(client *kgo.Client, n int) {
	l.T.Helper()
	for i := range n {
		r := &kgo.Record{Topic: LookoutTopic, Value: fmt.Append(nil, i)}
		if err := client.ProduceSync(l.Ctx, r).FirstErr(); err != nil {
			l.T.Fatal(err)
		}
	}
}

// Note writes to the ledger what a commit of runs up to progress would write, exactly once.
func (l *Lookout) Note(client *kgo.Client, progress offsets.Source, runs ...offsets.Run) {
	l.T.Helper()
	l.NoteAs(true, client, progress, runs...)
}

// NoteAs is Note; marked says whether the records were written in the transaction.
func (l *Lookout) NoteAs(marked bool, client *kgo.Client, progress offsets.Source, runs ...offsets.Run) {
	l.T.Helper()
	header := ledger.Header{
		TargetTopic: chunk.TopicID(l.Target.TopicInfo(LookoutTopic).TopicID), Progress: progress, Epoch: chunk.UnknownEpoch,
		MarkerFollows: marked,
	}
	change := ledger.Change{Key: l.key, Header: header, Runs: runs}
	if l.Foreign != nil {
		change.Foreign = []offsets.Stretch{*l.Foreign}
	}
	p, err := l.shard.Prepare([]ledger.Change{change})
	if err != nil {
		l.T.Fatal(err)
	}
	var at []int64
	for _, record := range p.Records {
		r := &kgo.Record{Topic: l.Cfg.LedgerTopic(), Key: record.Key, Value: record.Value}
		if err := client.ProduceSync(l.Ctx, r).FirstErr(); err != nil {
			l.T.Fatal(err)
		}
		at = append(at, r.Offset)
	}
	p.Apply(at)
}

// Look opens a look that waits for an open transaction for a short time only.
func (l *Lookout) Look() *snapshot.Viewer {
	l.T.Helper()
	clusters := map[string]kafka.Config{}
	for name, c := range map[string]*kafkatest.Cluster{"old": l.Source, "new": l.Target} {
		clusters[name] = kafka.Config{Name: name, Properties: c.Properties()}
	}
	i, err := snapshot.Open(l.Ctx, clusters, l.Cfg, nil)
	if err != nil {
		l.T.Fatal(err)
	}
	l.T.Cleanup(i.Close)
	i.SettleWait = 300 * time.Millisecond
	return i
}
