package replicate_test

import (
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
	"replicator/pkg/replicate/shard"
)

// simFault is an answer that a cluster may give for a while.
type simFault struct {
	key   kmsg.Key
	err   *kerr.Error
	whole bool // the error is the answer's own, not a partition's
}

var simSourceFaults = []simFault{
	{kmsg.Fetch, kerr.NotLeaderForPartition, false}, {kmsg.Fetch, kerr.OffsetNotAvailable, false},
	{kmsg.Fetch, kerr.UnknownTopicOrPartition, false}, {kmsg.ListOffsets, kerr.NotLeaderForPartition, false},
	{kmsg.OffsetFetch, kerr.CoordinatorLoadInProgress, false}, {kmsg.Metadata, kerr.LeaderNotAvailable, false},
}

var simTargetFaults = []simFault{
	{kmsg.Produce, kerr.NotLeaderForPartition, false}, {kmsg.Produce, kerr.NotEnoughReplicas, false},
	{kmsg.Produce, kerr.NotEnoughReplicasAfterAppend, false}, {kmsg.Produce, kerr.RequestTimedOut, false},
	{kmsg.AddPartitionsToTxn, kerr.ConcurrentTransactions, false},
	{kmsg.AddPartitionsToTxn, kerr.CoordinatorLoadInProgress, false},
	{kmsg.EndTxn, kerr.CoordinatorLoadInProgress, true}, {kmsg.EndTxn, kerr.ConcurrentTransactions, true},
	{kmsg.EndTxn, kerr.NotCoordinator, true}, {kmsg.InitProducerID, kerr.ConcurrentTransactions, true},
	{kmsg.InitProducerID, kerr.CoordinatorLoadInProgress, true},
	{kmsg.OffsetCommit, kerr.CoordinatorLoadInProgress, false},
	{kmsg.OffsetFetch, kerr.CoordinatorLoadInProgress, false},
	{kmsg.FindCoordinator, kerr.CoordinatorNotAvailable, false},
	{kmsg.ListOffsets, kerr.NotLeaderForPartition, false}, {kmsg.Fetch, kerr.NotLeaderForPartition, false},
}

var simSourceCuts = []kmsg.Key{kmsg.Fetch, kmsg.Fetch, kmsg.ListOffsets, kmsg.Metadata, kmsg.OffsetFetch,
	kmsg.OffsetForLeaderEpoch}

var simTargetCuts = []kmsg.Key{kmsg.Produce, kmsg.Produce, kmsg.AddPartitionsToTxn, kmsg.EndTxn, kmsg.EndTxn,
	kmsg.InitProducerID, kmsg.OffsetCommit, kmsg.Metadata, kmsg.FindCoordinator, kmsg.Fetch, kmsg.ListOffsets,
	kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup}

// step does one random thing.
func (s *sim) step() {
	switch n := s.rand.IntN(100); {
	case n < 36:
		s.produce()
	case n < 46:
		s.commits()
	case n < 57:
		s.cuts()
	case n < 66:
		s.refuses()
	case n < 75:
		s.breaks()
	case n < 79:
		s.moves()
	case n < 82:
		s.newTopic()
	case n < 85:
		s.grow()
	case n < 88:
		s.trim()
	case n < 91:
		s.hole()
	default:
		s.replica()
	}
}

// any picks a partition.
func (s *sim) any() simPartition {
	all := s.all()
	return all[s.rand.IntN(len(all))]
}

// bytes is a random key, value or header: absent, empty or something.
func (s *sim) bytes(most int) []byte {
	switch s.rand.IntN(8) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, 1+s.rand.IntN(most))
	for i := range b {
		b[i] = byte('a' + s.rand.IntN(26))
	}
	return b
}

// record is told apart from all others by its timestamp; those are not in order.
func (s *sim) record(p simPartition) *kgo.Record {
	s.number++
	r := &kgo.Record{Topic: p.topic, Partition: p.number, Key: s.bytes(20), Value: s.bytes(200),
		Timestamp: time.UnixMilli(1_700_000_000_000 + int64(s.number*7919%100_003))}
	for range s.rand.IntN(3) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(s.bytes(5)), Value: s.bytes(9)})
	}
	return r
}

func (s *sim) records(p simPartition) []*kgo.Record {
	records := make([]*kgo.Record, 1+s.rand.IntN(20))
	for i := range records {
		records[i] = s.record(p)
	}
	return records
}

func (s *sim) write(client *kgo.Client, records []*kgo.Record) {
	s.Must("write", client.ProduceSync(s.Ctx, records...).FirstErr())
}

// produce writes a few batches, alone or in a transaction that ends now or later.
func (s *sim) produce() {
	for range 1 + s.rand.IntN(3) {
		p := s.any()
		records := s.records(p)
		how := s.rand.IntN(4)
		client := []*kgo.Client{s.plainly, s.safely, s.txn, s.txn}[how]
		s.say("produce %d to %s, %s", len(records), p,
			[]string{"plainly", "idempotently", "in a transaction", "in a transaction"}[how])
		if client == s.txn && !s.open {
			s.Must("begin", s.txn.BeginTransaction())
			s.open = true
		}
		s.write(client, records)
		if client == s.txn && s.rand.IntN(3) > 0 {
			s.endTransaction()
		}
	}
}

func (s *sim) endTransaction() {
	if !s.open {
		return
	}
	commit := s.rand.IntN(3) > 0
	s.say("transaction ends, commit %v", commit)
	s.Must("end", s.txn.EndTransaction(s.Ctx, kgo.TransactionEndTry(commit)))
	s.open = false
}

// commits puts groups somewhere at or below the last stable offset.
func (s *sim) commits() {
	for range 1 + s.rand.IntN(4) {
		p := s.any()
		end := s.Source.PartitionInfo(p.topic, p.number).LastStableOffset
		at := s.rand.Int64N(end + 1)
		switch s.rand.IntN(6) {
		case 0:
			at = 0
		case 1, 2:
			at = end
		}
		position := workload.Position{Group: fmt.Sprintf("g%d", s.rand.IntN(4)), Topic: p.topic, Partition: p.number, At: at}
		s.say("group %s commits %d in %s, of %d", position.Group, at, p, end)
		s.Await("the source takes the commit", func() bool { // it may refuse metadata at present
			return workload.Commit(s.Ctx, s.Sides.Source, []workload.Position{position}) == nil
		})
		s.positions[fmt.Sprintf("%s %s", position.Group, p)] = position
	}
}

// cuts makes connections break.
func (s *sim) cuts() {
	after, count := s.rand.IntN(2) == 0, 1+s.rand.IntN(3)
	switch s.rand.IntN(5) {
	case 0:
		s.say("all connections to the source are cut")
		s.onSource.flap()
	case 1:
		s.say("all connections to the target are cut")
		s.onSink.flap()
	case 2:
		s.say("source: %s", s.onSource.cut(simSourceCuts[s.rand.IntN(len(simSourceCuts))], after, count))
	default:
		s.say("target: %s", s.onSink.cut(simTargetCuts[s.rand.IntN(len(simTargetCuts))], after, count))
	}
}

// breaks has the next transaction of a replica fail at one of its steps.
func (s *sim) breaks() {
	steps := []step{beforeBegin, midProduce, beforeLedger, beforeCommit, unnoticed} // connections are cut behind EndTxn
	at := steps[s.rand.IntN(len(steps))]
	s.say("the next transaction fails: %s", at)
	s.broken.Lock()
	defer s.broken.Unlock()
	s.broken.left[at]++
}

// simBroken are failures of transactions that are still to come. A checkpoint does not
// end them: each is met by the first transaction that comes to its step.
type simBroken struct {
	sync.Mutex
	left map[step]int
}

func (b *simBroken) due(_ int, at step) bool {
	b.Lock()
	defer b.Unlock()
	if b.left[at] == 0 {
		return false
	}
	b.left[at]--
	return true
}

func (s *sim) wrap(shard int, out shard.Writer) shard.Writer {
	return &breaker{Writer: out, w: s.World, shard: shard, due: s.broken.due}
}

// refuses makes a cluster answer with errors.
func (s *sim) refuses() {
	count := 1 + s.rand.IntN(3)
	cluster, name, faults := s.Target, "target", simTargetFaults
	if s.rand.IntN(3) == 0 {
		cluster, name, faults = s.Source, "source", simSourceFaults
	}
	f := faults[s.rand.IntN(len(faults))]
	s.say("%s answers %d %s with %s", name, count, f.key.Name(), f.err.Message)
	s.faults = append(s.faults, cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{f.key}, Err: f.err, Count: count, TopLevel: f.whole}))
}

// moves changes leaders or coordinators.
func (s *sim) moves() {
	cluster, name := s.Target, "target"
	if s.rand.IntN(2) == 0 {
		cluster, name = s.Source, "source"
	}
	if s.rand.IntN(3) == 0 {
		s.say("%s: coordinators move", name)
		cluster.RehashCoordinators()
		return
	}
	p := s.any()
	node := int32(s.rand.IntN(2))
	s.say("%s: %d leads %s", name, node, p)
	if err := cluster.MoveTopicPartition(p.topic, p.number, node); err != nil {
		s.say("not yet: %v", err) // the target has it later
	}
}

// newTopic adds one of at most three.
func (s *sim) newTopic() {
	if len(s.names) == 3 {
		return
	}
	topic, partitions := fmt.Sprintf("t%d", len(s.names)), 1+s.rand.IntN(3)
	s.say("topic %s of %d partitions", topic, partitions)
	s.Must("create", workload.Topics(s.Ctx, s.Sides.Source, int32(partitions), workload.KeepConfigs(), topic))
	s.names = append(s.names, topic)
	s.partitions[topic] = partitions
}

// grow adds a partition.
func (s *sim) grow() {
	topic := s.names[s.rand.IntN(len(s.names))]
	if s.partitions[topic] == 5 {
		return
	}
	s.partitions[topic]++
	s.say("topic %s grows to %d partitions", topic, s.partitions[topic])
	s.Must("grow", workload.Grow(s.Ctx, s.Sides.Source, topic, s.partitions[topic]))
	s.endTransaction() // a client learns late that a topic has grown: others take over
	s.closeApplications()
	s.applications()
}

func (s *sim) deleteBelow(p simPartition, at int64) {
	var below kadm.Offsets
	below.AddOffset(p.topic, p.number, at, -1)
	answer, err := s.From.DeleteRecords(s.Ctx, below)
	s.Must("delete records", err)
	s.Must("delete records", answer.Error())
}

// trim deletes records that are copied already: nothing changes on the target. It stays
// below trailing markers and aborted records, past which the ledger's progress is late.
func (s *sim) trim() {
	s.checkpoint()
	p := s.any()
	start := s.Source.PartitionInfo(p.topic, p.number).LogStartOffset
	end := start
	if n := len(s.history[p]); n > 0 {
		end = max(start, s.history[p][n-1].offset+1)
	}
	at := start + s.rand.Int64N(end-start+1)
	if s.rand.IntN(3) == 0 {
		at = end
	}
	s.say("the source deletes %s below %d, of %d copied", p, at, s.ends[p])
	s.deleteBelow(p, at)
}

// hole deletes records while nobody copies: they are lost.
func (s *sim) hole() {
	s.endTransaction()
	s.checkpoint()
	for len(s.replicas) > 0 {
		s.stopReplica(0)
	}
	p := s.any()
	copied := s.ends[p]
	s.write(s.safely, s.records(p))
	s.remember()
	at := copied + 1 + s.rand.Int64N(s.ends[p]-copied)
	s.say("the source deletes %s below %d, of %d, copied %d", p, at, s.ends[p], copied)
	s.deleteBelow(p, at)
	begun := false
	for i, r := range s.history[p] {
		begun = begun || !r.lost && r.offset < copied
		s.history[p][i].lost = r.lost || r.offset >= copied && r.offset < at
	}
	if begun { // else it may not have been begun, and then it begins behind what was deleted
		s.holes[p] = at
	}
	s.startReplica()
}

// replica starts, stops, kills or freezes one.
func (s *sim) replica() {
	n := len(s.replicas)
	if n == 0 || n < 3 && s.rand.IntN(2) == 0 {
		s.startReplica()
		return
	}
	switch i := s.rand.IntN(n); s.rand.IntN(4) {
	case 0:
		s.stopReplica(i)
	case 1:
		s.killReplica(i)
	case 2:
		s.freezes(s.replicas[i].client)
	case 3:
		s.oversleeps()
	}
}

func (s *sim) freezes(client string) {
	s.say("%s freezes, and is forgotten", client)
	s.onSource.freeze(client)
	s.onSink.freeze(client)
	forgetMember(s.World, s.operator, client)
}

// oversleeps freezes a replica as it ends a transaction. That arrives when another has
// copied the same records, and must not count.
func (s *sim) oversleeps() {
	s.endTransaction()
	s.checkpoint()
	asleep := s.onSink.freezeAtEnd()
	s.write(s.safely, s.records(s.any()))
	select {
	case client := <-asleep:
		s.freezes(client)
	case <-time.After(simPatience):
		s.T.Fatal("no replica ends a transaction")
	}
	s.startReplica()
	s.settle()
	s.heal()
}
