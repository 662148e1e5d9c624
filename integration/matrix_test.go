package integration

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/cluster"
	"replicator/integration/workload"
)

// direction is a pair of broker versions, with brokers that tests share.
type direction struct {
	source, target string
	brokers        func(t *testing.T) (source, target *cluster.Cluster)
}

var directions = []direction{
	{olderVersion, cluster.DefaultVersion, func(t *testing.T) (source, target *cluster.Cluster) {
		return older(t), newer(t, "target")
	}},
	{cluster.DefaultVersion, olderVersion, func(t *testing.T) (source, target *cluster.Cluster) {
		return newer(t, "source"), older(t)
	}},
	{cluster.DefaultVersion, cluster.DefaultVersion, shared},
}

// material is what one source cluster holds to be copied.
type material struct {
	codecs []string          // topics with all five codecs, none of whose batches is aborted or in the way
	mixed  []string          // topics with transactions, some aborted
	rest   map[string]string // the topic whose batches cannot pass, by reason
}

// others are all topics but those of codecs.
func (m *material) others() []string {
	all := slices.Clone(m.mixed)
	for _, topic := range m.rest {
		all = append(all, topic)
	}
	return all
}

// Whatever wrote the batches, and whichever versions stand on the sides: both
// lanes copy all of it exactly, and the batch lane takes apart what it must, and
// nothing else.
func TestMatrix(t *testing.T) {
	filled := map[string]*material{}
	for _, d := range directions {
		t.Run(d.source+" to "+d.target, func(t *testing.T) {
			source, target := d.brokers(t)
			ctx := deadline(t, 4*time.Minute)
			m := filled[d.source]
			if m == nil {
				m = gather(ctx, t, source.Bootstrap())
				filled[d.source] = m
			}
			for _, lane := range []string{"batch", "record"} {
				t.Run(lane, func(t *testing.T) { m.copied(ctx, t, source.For(t), target.For(t), lane) })
			}
		})
	}
}

// gather writes all kinds of batches.
func gather(ctx context.Context, t *testing.T, bootstrap string) *material {
	t.Helper()
	name := func(kind string) string { return unique(t) + "-" + kind }
	m := &material{
		codecs: []string{name("java"), name("librdkafka"), name("franz-go")},
		mixed:  []string{name("java-transactions"), name("librdkafka-transactions"), name("franz-go-transactions")},
		rest:   map[string]string{"gaps": name("compacted"), "log_append_time": name("append-time")},
	}
	must(t, workload.Topics(ctx, bootstrap, 2, workload.KeepConfigs(), append(m.codecs, m.mixed...)...))
	must(t, workload.Topics(ctx, bootstrap, 2, workload.CompactedConfigs(), m.rest["gaps"]))
	must(t, workload.Topics(ctx, bootstrap, 2, map[string]string{"message.timestamp.type": "LogAppendTime"},
		m.rest["log_append_time"]))
	const n = 600
	javaClients(ctx, t, bootstrap, m.codecs[0], m.mixed[0], n)
	librdkafka(ctx, t, bootstrap, m.codecs[1], m.mixed[1], n)
	for i, topic := range []string{m.codecs[2], m.rest["log_append_time"]} {
		_, err := workload.Plain(ctx, bootstrap, topic, workload.PlainSpec{Seed: 21, Records: 2 * n, Partitions: 2})
		must(t, err)
		mixed(ctx, t, bootstrap, []string{m.mixed[2], topic}[i], 22, 2*n, 2)
	}
	_, err := workload.Compacted(ctx, bootstrap, m.rest["gaps"], workload.CompactedSpec{Seed: 23, Partitions: 2})
	must(t, err)
	m.various(newTalker(ctx, t, bootstrap, kgo.MaxVersions(namesTopics())))
	return m
}

// various makes sure that the clients did what they were told.
func (m *material) various(k *talker) {
	k.t.Helper()
	idempotence := map[bool]int{}
	for _, topic := range append(m.codecs, m.rest["log_append_time"]) {
		used := map[int16]bool{}
		for _, b := range k.stored(topic) {
			used[b.Attributes&0x07] = true
			idempotence[b.ProducerID >= 0]++
		}
		if len(used) != len(codecs) {
			k.t.Fatalf("%s holds batches of codecs %v, want all %d", topic, used, len(codecs))
		}
	}
	if idempotence[true] == 0 || idempotence[false] == 0 {
		k.t.Fatalf("batches by idempotence of their producer: %v, want both", idempotence)
	}
}

// copied lets one lane copy it all, and has it judged. What must pass as it is goes
// alone: beside topics with hundreds of batches, those may wait, and be joined.
func (m *material) copied(ctx context.Context, t *testing.T, source, target *cluster.Cluster, lane string) {
	from := newTalker(ctx, t, source.Bootstrap(), kgo.MaxVersions(namesTopics()))
	to := newTalker(ctx, t, target.Bootstrap(), kgo.MaxVersions(namesTopics()))
	for _, c := range []struct {
		name    string
		topics  []string
		rebuilt func(address string)
	}{
		{"as it is", m.codecs, func(address string) {
			if n, _ := metric(t, address, "rebuilt_batches_total"); n != 0 {
				t.Errorf("%g batches were rebuilt", n)
			}
			for _, topic := range m.codecs {
				passed(t, topic, from.stored(topic), to.stored(topic))
			}
		}},
		{"the rest", m.others(), func(address string) { m.rebuilt(from, address) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			naming := "identity"
			if lane == "record" { // beside the other lane's copies
				naming = "prefix"
			}
			groups := stand(ctx, t, source.Bootstrap(), 12, 10, c.topics...)
			s, address := newSite(t, source.For(t), target.For(t),
				patterns(t, c.topics, "lane: "+lane, "naming: "+naming)...).replica()
			d := s.run()
			sides := s.sides()
			if naming == "prefix" {
				sides.Rename = func(topic string) string { return "old." + topic }
			}
			judged(ctx, t, sides, c.topics, groups)
			if lane == "batch" {
				c.rebuilt(address)
			} else if n, found := metric(t, address, "rebuilt_batches_total"); found && n != 0 {
				t.Errorf("the record lane has rebuilt %g batches", n)
			}
			d.stop()
		})
	}
}

// rebuilt holds the counter against the batches that were in the way. Each is
// counted whenever it is read; those of transactions may be aborted, and are not
// expected.
func (m *material) rebuilt(from *talker, address string) {
	from.t.Helper()
	known, _ := metric(from.t, address, "rebuilt_batches_total", "reason", "small")
	for reason, topic := range m.rest {
		want := 0.0
		for _, b := range from.stored(topic) {
			gaps := int(b.LastOffsetDelta) != int(b.NumRecords)-1 && b.NumRecords > 0
			if reason == "gaps" && gaps || reason == "log_append_time" && b.Attributes&0x18 == 0x08 {
				want++
			}
		}
		got, _ := metric(from.t, address, "rebuilt_batches_total", "reason", reason)
		from.t.Logf("%s: %g rebuilt, %g were in the way", reason, got, want)
		if want == 0 || got < want {
			from.t.Errorf("%s: %g batches were rebuilt, %g were in the way", reason, got, want)
		}
		known += got
	}
	if all, _ := metric(from.t, address, "rebuilt_batches_total"); all != known {
		from.t.Errorf("%g batches were rebuilt for other reasons", all-known)
	}
}

// passed says whether the records of each batch arrived as the bytes they were.
func passed(t *testing.T, topic string, source, target []kmsg.RecordBatch) {
	t.Helper()
	if len(source) == 0 || len(source) != len(target) {
		t.Errorf("%s: %d batches on the source, %d on the target", topic, len(source), len(target))
		return
	}
	for i := range source {
		if !bytes.Equal(source[i].Records, target[i].Records) {
			t.Errorf("%s: batch %d of %d holds other bytes on the target", topic, i, len(source))
		}
	}
}

// stored are all batches of the two partitions of a topic, without markers.
func (k *talker) stored(topic string) []kmsg.RecordBatch {
	k.t.Helper()
	var all []kmsg.RecordBatch
	for partition := range int32(2) {
		for _, b := range batches(k.t, k.log(topic, partition)) {
			if b.Attributes&0x20 == 0 {
				all = append(all, b)
			}
		}
	}
	return all
}
