package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"replicator/integration/workload"
)

// story is what one producer does to one partition, and what it is answered.
type story struct {
	name       string
	generation int // of the transaction protocol that the client speaks; 0: without transactions
	steps      []step
}

// step is "produce SEQUENCE COUNT" or "add", "commit", "abort" of the
// transaction. An offset in the answer is the first record's.
type step struct{ do, want string }

const wrap = "2147483640" // 8 more fit into a sequence

var stories = []story{
	{"a sequence goes on", 0, []step{
		{"produce 0 3", "OK at 0"},
		{"produce 3 3", "OK at 3"},
		{"produce 3 3", "OK at 3"}, // the same batch again is not stored again
		{"produce 7 3", "OUT_OF_ORDER_SEQUENCE_NUMBER"},
		{"produce 6 3", "OK at 6"}, // a refused one changes nothing
	}},
	{"2^31-1 is followed by 0", 0, []step{
		{"produce " + wrap + " 10", "OK at 0"}, // up to 1
		{"produce 3 1", "OUT_OF_ORDER_SEQUENCE_NUMBER"},
		{"produce 2 1", "OK at 10"},
	}},
	{"a partition is announced first", 1, []step{
		{"produce 0 3", "TRANSACTION_ABORTABLE"}, // INVALID_TXN_STATE to clients before Produce v11
		{"add", "OK"},
		{"produce 0 3", "OK at 0"},
		{"commit", "OK"},
	}},
	{"a sequence goes on over transactions", 1, []step{
		{"add", "OK"},
		{"produce 0 3", "OK at 0"},
		{"commit", "OK"}, // the marker is at 3
		{"add", "OK"},
		{"produce 3 3", "OK at 4"},
		{"abort", "OK"},
		{"add", "OK"},
		{"produce 6 3", "OK at 8"},
		{"commit", "OK"},
	}},
	{"2^31-1 is followed by 0 in a transaction", 1, []step{
		{"add", "OK"},
		{"produce " + wrap + " 10", "OK at 0"},
		{"produce 2 1", "OK at 10"},
		{"commit", "OK"},
	}},
	{"every transaction begins at 0", 2, []step{
		{"produce 0 3", "OK at 0"}, // nothing was announced
		{"produce 3 3", "OK at 3"},
		{"commit", "OK"},
		{"produce 0 3", "OK at 7"},
		{"abort", "OK"},
		{"produce 3 3", "OUT_OF_ORDER_SEQUENCE_NUMBER"},
	}},
}

// What a target expects of the sequences of a producer's batches.
func TestSequences(t *testing.T) {
	for version, broker := range brokers {
		t.Run(version, func(t *testing.T) {
			ctx := deadline(t, time.Minute)
			topic := unique(t)
			must(t, workload.Topics(ctx, broker(t).Bootstrap(), int32(len(stories)), nil, topic))
			for i, s := range stories {
				if s.generation == 2 && version == olderVersion {
					continue
				}
				p := &teller{
					talker: newTalker(ctx, t, broker(t).Bootstrap(), kgo.MaxVersions(generation(s.generation))),
					topic:  topic, partition: int32(i), id: int64(1_000_000 + i),
				}
				if s.generation > 0 {
					p.open(fmt.Sprintf("%s.%d", topic, i))
				}
				for _, step := range s.steps {
					if got := p.do(step.do); got != step.want {
						t.Errorf("%s: %s: got %q, want %q", s.name, step.do, got, step.want)
					}
				}
			}
		})
	}
}

// generation has the newest requests that a client of that generation sends.
func generation(number int) *kversion.Versions {
	v := namesTopics()
	if number == 1 {
		v.SetMaxKeyVersion((&kmsg.ProduceRequest{}).Key(), 11)
		v.SetMaxKeyVersion((&kmsg.EndTxnRequest{}).Key(), 4)
	}
	return v
}

// teller plays a story.
type teller struct {
	*talker
	topic         string
	partition     int32
	id            int64
	epoch         int16
	transactional *string
}

func (p *teller) open(id string) {
	p.t.Helper()
	p.transactional = &id
	request := kmsg.NewPtrInitProducerIDRequest()
	request.TransactionalID, request.TransactionTimeoutMillis = &id, 60_000
	answer, err := request.RequestWith(p.ctx, p.client)
	must(p.t, err)
	must(p.t, kerr.ErrorForCode(answer.ErrorCode))
	p.id, p.epoch = answer.ProducerID, answer.ProducerEpoch
}

func (p *teller) do(what string) string {
	p.t.Helper()
	switch what {
	case "add":
		return p.add()
	case "commit", "abort":
		return p.end(what == "commit")
	}
	var sequence, count int
	_, err := fmt.Sscanf(what, "produce %d %d", &sequence, &count)
	must(p.t, err)
	batch := batchOf(count, time.Now())
	batch.ProducerID, batch.ProducerEpoch, batch.FirstSequence = p.id, p.epoch, int32(sequence)
	if p.transactional != nil {
		batch.Attributes |= 0x10
	}
	answer := p.produce(p.transactional, p.topic, p.partition, batch.bytes(p.t))[0]
	if answer.ErrorCode != 0 {
		return name(answer.ErrorCode)
	}
	return fmt.Sprintf("OK at %d", answer.BaseOffset)
}

// add announces the partition; while the transaction before is being settled, a
// broker says so, and it is asked again.
func (p *teller) add() string {
	p.t.Helper()
	request := kmsg.NewPtrAddPartitionsToTxnRequest()
	request.TransactionalID, request.ProducerID, request.ProducerEpoch = *p.transactional, p.id, p.epoch
	topic := kmsg.NewAddPartitionsToTxnRequestTopic()
	topic.Topic, topic.Partitions = p.topic, []int32{p.partition}
	request.Topics = append(request.Topics, topic)
	said := ""
	eventually(p.t, 30*time.Second, "the transaction before is settled", func() bool {
		answer, err := request.RequestWith(p.ctx, p.client)
		must(p.t, err)
		said = name(answer.Topics[0].Partitions[0].ErrorCode)
		return said != kerr.ConcurrentTransactions.Message
	})
	return said
}

func (p *teller) end(commit bool) string {
	p.t.Helper()
	request := kmsg.NewPtrEndTxnRequest()
	request.TransactionalID, request.ProducerID, request.ProducerEpoch = *p.transactional, p.id, p.epoch
	request.Commit = commit
	answer, err := request.RequestWith(p.ctx, p.client)
	must(p.t, err)
	if answer.ErrorCode == 0 && answer.Version >= 5 {
		p.id, p.epoch = answer.ProducerID, answer.ProducerEpoch
	}
	return name(answer.ErrorCode)
}
