package replicate_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/integration/workload"
)

// step does one random thing.
func (s *pairSim) step() {
	switch n := s.rand.IntN(100); {
	case n < 30:
		s.produce()
	case n < 48:
		s.uses()
	case n < 56:
		s.cuts()
	case n < 63:
		s.refuses()
	case n < 70:
		s.breaks()
	case n < 74:
		s.moves()
	case n < 77:
		s.newTopic()
	case n < 80:
		s.grow()
	case n < 85:
		s.loses()
	default:
		s.replica()
	}
}

// any picks a partition.
func (s *pairSim) any() simPartition {
	topic := s.names[s.rand.IntN(len(s.names))]
	return simPartition{topic, int32(s.rand.IntN(s.partitions[topic]))}
}

// produce writes a few batches on a side, alone or in a transaction that ends now or later.
func (s *pairSim) produce() {
	for range 1 + s.rand.IntN(4) {
		site, p, how := s.site(), s.any(), s.rand.IntN(4)
		var records []*kgo.Record
		var texts []string
		for range 1 + s.rand.IntN(20) {
			s.number++
			r := &kgo.Record{Topic: p.topic, Partition: p.number, Key: fmt.Appendf(nil, "k%d", s.rand.IntN(5)),
				Value:     fmt.Appendf(nil, "%s-%d", site.name, s.number),
				Timestamp: time.UnixMilli(1_700_000_000_000 + int64(s.number))}
			records, texts = append(records, r), append(texts, simText(r))
		}
		client := []*kgo.Client{site.plainly, site.safely, site.txn, site.txn}[how]
		s.say("%s: produce %d to %s, %s", site.name, len(records), p,
			[]string{"plainly", "idempotently", "in a transaction", "in a transaction"}[how])
		if client == site.txn && !site.open {
			s.Must("begin", site.txn.BeginTransaction())
			site.open = true
		}
		s.Must("write", client.ProduceSync(s.Ctx, records...).FirstErr())
		if client != site.txn {
			site.written[p] = append(site.written[p], texts...)
			continue
		}
		site.pending[p] = append(site.pending[p], texts...)
		// Others' records of a partition that is written to in an open transaction would be in another order than they
		// become visible: the order of a log is that of its offsets.
		s.endTransaction(site)
	}
}

func (s *pairSim) endTransaction(site *simSite) {
	if !site.open {
		return
	}
	commit := s.rand.IntN(3) > 0
	s.say("%s: transaction ends, commit %v", site.name, commit)
	s.Must("end", site.txn.EndTransaction(s.Ctx, kgo.TransactionEndTry(commit)))
	site.open = false
	for p, texts := range site.pending {
		if commit {
			site.written[p] = append(site.written[p], texts...)
		}
	}
	clear(site.pending)
}

// cuts makes connections break.
func (s *pairSim) cuts() {
	site, after, count := s.site(), s.rand.IntN(2) == 0, 1+s.rand.IntN(3)
	if s.rand.IntN(5) == 0 {
		s.say("all connections to %s are cut", site.name)
		site.net.flap()
		return
	}
	keys := append(slices.Clone(simSourceCuts), simTargetCuts...)
	s.say("%s: %s", site.name, site.net.cut(keys[s.rand.IntN(len(keys))], after, count))
}

// breaks has the next transaction fail at one of its steps.
func (s *pairSim) breaks() {
	steps := []step{beforeBegin, midProduce, beforeLedger, unnoticed} // a refused end would meet applications as well
	at := steps[s.rand.IntN(len(steps))]
	s.say("the next transaction fails: %s", at)
	s.broken.Lock()
	defer s.broken.Unlock()
	s.broken.left[at]++
}

// refuses makes a cluster answer with errors. Whoever writes there meets them too, so it is not asked to.
func (s *pairSim) refuses() {
	site, count := s.site(), 1+s.rand.IntN(3)
	faults := append(slices.Clone(simSourceFaults), simTargetFaults...)
	faults = slices.DeleteFunc(faults, func(f simFault) bool { return slices.Contains(simWrites, f.key) })
	f := faults[s.rand.IntN(len(faults))]
	s.say("%s answers %d %s with %s", site.name, count, f.key.Name(), f.err.Message)
	s.faults = append(s.faults, site.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{f.key}, Err: f.err, Count: count, TopLevel: f.whole}))
}

// simWrites are requests of those who write.
var simWrites = []kmsg.Key{kmsg.Produce, kmsg.AddPartitionsToTxn, kmsg.EndTxn, kmsg.InitProducerID}

// moves changes leaders or coordinators.
func (s *pairSim) moves() {
	site := s.site()
	if s.rand.IntN(3) == 0 {
		s.say("%s: coordinators move", site.name)
		site.cluster.RehashCoordinators()
		return
	}
	p, node := s.any(), int32(s.rand.IntN(2))
	s.say("%s: %d leads %s", site.name, node, p)
	if err := site.cluster.MoveTopicPartition(p.topic, p.number, node); err != nil {
		s.say("not yet: %v", err)
	}
}

// newTopic adds one of at most three, on either side: who writes on the other waits for it.
func (s *pairSim) newTopic() {
	if len(s.names) == 3 {
		return
	}
	site := s.site()
	topic, partitions := fmt.Sprintf("t%d", len(s.names)), 1+s.rand.IntN(3)
	s.say("topic %s of %d partitions on %s", topic, partitions, site.name)
	s.Must("create", workload.Topics(s.Ctx, site.bootstrap, int32(partitions), workload.KeepConfigs(), topic))
	s.names = append(s.names, topic)
	s.partitions[topic] = partitions
	if s.started > 0 {
		s.checkpoint() // who writes on the other side finds it
	}
}

// grow adds a partition, on either side.
func (s *pairSim) grow() {
	topic := s.names[s.rand.IntN(len(s.names))]
	if s.partitions[topic] == 5 {
		return
	}
	s.checkpoint() // the topic is on both sides
	site := s.site()
	s.partitions[topic]++
	s.say("topic %s grows to %d partitions on %s", topic, s.partitions[topic], site.name)
	s.Must("grow", workload.Grow(s.Ctx, site.bootstrap, topic, s.partitions[topic]))
	s.again()
}

// again has other applications take over: a client learns late that a topic has changed.
func (s *pairSim) again() {
	s.checkpoint()
	for _, site := range s.sites {
		s.endTransaction(site)
		site.closeThoseWhoWriteNow()
		s.applications(site)
	}
	for _, a := range s.apps {
		if at := a.at; at != nil {
			s.ends(a)
			s.begins(a, at)
		}
	}
}

// loses deletes a topic of one side, or all that is there, while nobody writes; in the latter case nobody copies.
func (s *pairSim) loses() {
	lost := s.rand.IntN(2)
	site := s.sites[lost]
	for _, site := range s.sites {
		s.endTransaction(site)
	}
	for _, a := range s.apps {
		if a.at == site {
			s.ends(a)
		}
	}
	s.checkpoint()
	gone := []string{s.names[s.rand.IntN(len(s.names))]}
	if s.rand.IntN(2) == 0 {
		for len(s.replicas) > 0 {
			s.stopReplica(0)
		}
		gone = slices.Clone(s.names)
		for _, f := range s.flows {
			if f.To == site.name {
				gone = append(gone, f.LedgerTopic())
			}
		}
	}
	s.say("%s loses %s", site.name, strings.Join(gone, ", "))
	s.forgets(gone, s.sites[1-lost])
	for _, topic := range gone {
		s.Delete(site.admin, topic)
	}
	s.again()
}

// replica starts, stops, kills or freezes one.
func (s *pairSim) replica() {
	n := len(s.replicas)
	if n == 0 || n < 5 && s.rand.IntN(2) == 0 {
		s.startReplica(s.rand.IntN(2))
		return
	}
	switch i := s.rand.IntN(n); s.rand.IntN(3) {
	case 0:
		s.stopReplica(i)
	case 1:
		s.killReplica(i)
	case 2:
		r := s.replicas[i]
		s.say("%s freezes, and is forgotten", r.client)
		for _, site := range s.sites {
			site.net.freeze(r.client)
		}
		s.forget(r)
	}
}
