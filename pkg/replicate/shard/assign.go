package shard

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/factsof"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/source"
	"replicator/pkg/replicate/topics"
)

// asideFirst and asideMost space the tries of a partition that was put aside:
// each failing try costs the other partitions of the shard one chunk.
const (
	asideFirst = 15 * time.Second
	asideMost  = 5 * time.Minute
	// troubleFor is how long all partitions of a shard wait for one to get over its trouble: an election takes seconds.
	DefaultTroubleFor = 20 * time.Second
)

// putAside leaves a partition out, so that the others of the shard go on.
func (w *Worker) putAside(stop *chunk.Stop) {
	a := w.quarantined[stop.Partition]
	if a == nil {
		a = &quarantine{}
		w.quarantined[stop.Partition] = a
	}
	w.tell(stop)
	if a.stop == stop {
		a.cleared = true
		return
	}
	a.stop, a.trying, a.cleared = stop, false, false
	a.again = time.Now().Add(min(asideFirst<<min(a.tries, 10), asideMost))
	a.tries++
}

// staying is the Stop of a trouble that has lasted, or is back when its partition is
// tried again; nil for any other error.
func (w *Worker) staying(err error) *chunk.Stop {
	stop := w.lingering(err)
	if stop == nil {
		return nil
	}
	p := stop.Partition
	if w.troubled[p].IsZero() {
		w.troubled[p] = time.Now()
	}
	if w.quarantined[p] == nil && time.Since(w.troubled[p]) < w.flow.TroubleFor {
		return nil
	}
	return stop
}

// lingering is what becomes of an error of one partition that does not pass; nil for any
// other error. A topic that may not be read is mostly seen when topics are compared; not
// every cluster tells rights there.
func (w *Worker) lingering(err error) *chunk.Stop {
	var trouble *chunk.Trouble
	if errors.As(err, &trouble) {
		return trouble.Stop()
	}
	var refused *source.Unreadable
	if !errors.As(err, &refused) || refused.OutOfLog || refused.Partition == (chunk.Partition{}) {
		return nil
	}
	if code, _ := kafka.Code(refused); code != int(kerr.TopicAuthorizationFailed.Code) {
		return nil
	}
	problem := w.flow.Source.Denied("Read", "topic "+refused.Partition.Topic, nil)
	return &chunk.Stop{Partition: refused.Partition, Kind: chunk.StopUnauthorized, Reason: problem.What, Fix: problem.Fix,
		Err: refused.Err}
}

// recovered forgets troubles that have not come back, and takes what was tried again
// for good.
func (w *Worker) recovered() {
	clear(w.troubled)
	for p, a := range w.quarantined {
		if a.trying {
			delete(w.quarantined, p)
			w.goesOn(p)
		}
	}
}

// asideIsDue says whether some partition is to be tried again.
func (w *Worker) asideIsDue() bool {
	for _, a := range w.quarantined {
		if !a.trying && time.Now().After(a.again) {
			return true
		}
	}
	return false
}

// candidate is a partition of the shard that is being arranged.
type candidate struct {
	partition chunk.Partition
	topic     topics.Mirrored
	key       ledger.Key
	state     *ledger.State // nil: nothing is known of it yet
	header    ledger.Header // what it is to be
	stop      *chunk.Stop
	until     *chunk.Stop // copy what stands before its record
	waiting   bool        // its target partition is not there yet

	earliest offsets.Source    // where the source's log begins; with a state that is asked for a cut
	noted    *ledger.Cut       // of either side, seen now
	cut      *ledger.MapCut    // the order about a cut is carried out
	foreign  []offsets.Stretch // found by that
}

// arrange makes the session's routes from the flow's topology. What it decides
// (where a partition starts, what it lost, why it stopped) is committed to the
// ledger before the first record is read.
func (s *session) arrange(ctx context.Context, version uint64) error {
	if err := s.rest(ctx); err != nil { // what was read so far is not read again
		return err
	}
	if !s.flow.InBatches() && s.flow.batchBytes(s.Shard) != s.batch {
		return errAgain // with a writer whose batches fit
	}
	s.expect()
	list := s.candidates()
	marks, err := s.askMarks(ctx, list)
	if err != nil {
		return err
	}
	if err := s.refuseStrangers(ctx, list); err != nil {
		return err
	}
	for _, c := range list {
		if err := s.settle(ctx, c, marks); err != nil {
			return err
		}
	}
	if err := s.commitHeaders(ctx, list); err != nil {
		return err
	}
	if err := s.giveWay(ctx, list); err != nil {
		return err
	}
	s.routes = map[chunk.Partition]*route{}
	s.undecided, s.later = false, chunk.Chunk{}
	var positions []chunk.Position
	known := map[chunk.Partition]bool{}
	for _, c := range list {
		known[c.partition] = true
		if c.noted != nil {
			s.flow.Metrics.Cut(s.flow.Name, c.partition, c.noted)
		}
		state := s.goOver(c)
		s.Published.put(c.partition, func(r *PublishedRoute) {
			if r.Key != c.key {
				r.Began = c.header.Progress
			}
			r.Key, r.Target, r.Stop, r.State = c.key, c.topic.Target, c.stop, state
			r.Next = c.header.Progress
		})
		if state != partition.Copying {
			continue
		}
		s.routes[c.partition] = &route{
			key: c.key, topic: c.topic, next: c.header.Progress, epoch: c.header.Epoch, until: c.until,
		}
		positions = append(positions, chunk.Position{
			Partition: c.partition, Offset: c.header.Progress, Epoch: c.header.Epoch, Most: int(c.topic.TargetMaxBytes),
		})
	}
	s.Published.keep(known)
	s.seen = version
	return s.in.Assign(positions)
}

// expect tells of the topics that the ledger knows, so that one which may not be
// seen is not taken for a deleted one.
func (s *session) expect() {
	var names []string
	for _, k := range s.book.Keys() {
		if target, verdict := s.flow.Policy.Topic(k.Partition.Topic); verdict.Selected && target != "" {
			names = append(names, k.Partition.Topic)
		}
	}
	if s.flow.Topics.Expect(names) {
		s.flow.Topology.Refresh()
	}
}

// candidates lists the partitions of the flow that belong to this shard.
func (s *session) candidates() []*candidate {
	var list []*candidate
	for _, t := range s.flow.Topology.Now() {
		for _, key := range s.partitionsOf(t) {
			p := key.Partition
			c := &candidate{partition: p, topic: t, key: key}
			if c.state = s.book.State(c.key); c.state != nil {
				c.header = c.state.Header
			}
			if key.Topic == (chunk.TopicID{}) {
				c.header.SourceTopic = t.SourceID
			}
			if d, doubted := s.doubts[p]; doubted && d.key != key {
				delete(s.doubts, p) // it was about another topic of that name
			}
			if t.Stop != nil {
				stop := *t.Stop
				stop.Partition = p
				c.stop = &stop
			}
			if a := s.quarantined[p]; a != nil && c.stop == nil {
				a.trying = a.trying || time.Now().After(a.again)
				switch {
				case a.trying:
				case !a.cleared && c.state != nil && a.stop.At > c.header.Progress:
					c.until = a.stop // its transaction has taken others with it, which can pass
				default:
					c.stop = a.stop
				}
			}
			c.waiting = t.Waits != "" || t.TargetID == (chunk.TopicID{}) || int(p.Number) >= t.TargetPartitions
			list = append(list, c)
		}
	}
	return list
}

// partitionsOf lists the topic's partitions that belong to this shard. Where the
// source does not describe the topic any more, the ledger tells which there were.
func (s *session) partitionsOf(t topics.Mirrored) []ledger.Key {
	var keys []ledger.Key
	for n := range t.Partitions {
		p := chunk.Partition{Topic: t.Source, Number: int32(n)}
		if p.Shard(s.flow.Cfg.Shards) == s.Shard {
			keys = append(keys, s.book.KeyOf(t.SourceID, p))
		}
	}
	if t.Partitions == 0 {
		for _, k := range s.book.Keys() {
			if k.Partition.Topic == t.Source {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// refuseStrangers stops what would be written to a target topic of somebody else, in
// whichever of its partitions that has its records.
func (s *session) refuseStrangers(ctx context.Context, list []*candidate) error {
	var fresh []topics.Mirrored
	for _, c := range list {
		if c.first() && (len(fresh) == 0 || fresh[len(fresh)-1].Source != c.topic.Source) {
			fresh = append(fresh, c.topic)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	stops, err := s.flow.TargetTopics.Strangers(ctx, fresh)
	if err != nil {
		return err
	}
	for _, c := range list {
		if stop := stops[c.topic.Target]; stop != nil && c.first() {
			own := *stop
			own.Partition = c.partition
			c.stop = &own
		}
	}
	return nil
}

// first says whether the partition would be copied to that target topic for the first time.
func (c *candidate) first() bool {
	return c.stop == nil && !c.waiting && c.header.TargetTopic != c.topic.TargetID
}

// bothMarks is what the source says of its logs, and where those of the target end.
type bothMarks struct {
	factsof.SourceMarks
	targetEnds listoffsets.Offsets
}

// askMarks asks for what settle needs, in a few requests for all partitions.
func (s *session) askMarks(ctx context.Context, list []*candidate) (m bothMarks, err error) {
	var names, filled []string
	var positions []chunk.Position
	fresh := false
	for _, c := range list {
		if len(names) == 0 || names[len(names)-1] != c.topic.Source {
			names = append(names, c.topic.Source)
		}
		fresh = fresh || c.state == nil
		if c.state != nil && c.header.TargetTopic == c.topic.TargetID &&
			(len(filled) == 0 || filled[len(filled)-1] != c.topic.Target) {
			filled = append(filled, c.topic.Target)
		}
		if c.state != nil {
			positions = append(positions, chunk.Position{
				Partition: c.partition, Offset: c.header.Progress, Epoch: c.header.Epoch,
			})
		}
	}
	if m.Earliest, err = s.flow.SourceOffsets.Earliest(ctx, names); err != nil {
		return m, err
	}
	if m.Start, err = s.askStart(ctx, names, m.Earliest, fresh); err != nil {
		return m, err
	}
	// After the start: a log that grows meanwhile does not look cut.
	if m.End, err = s.flow.SourceOffsets.Ends(ctx, names); err != nil {
		return m, err
	}
	if m.Epochs, err = s.flow.SourceOffsets.EpochEnds(ctx, positions); err != nil || len(filled) == 0 {
		return m, err
	}
	m.targetEnds, err = s.flow.TargetOffsets.Ends(ctx, filled)
	return m, err
}

// askStart asks where partitions start of which nothing is known yet.
func (s *session) askStart(ctx context.Context, names []string, earliest listoffsets.Offsets,
	fresh bool) (listoffsets.Offsets, error) {
	if !fresh || s.book.Made {
		return earliest, nil // what appeared after the flow was made starts at its beginning
	}
	if at, isTime := s.flow.Cfg.Start.Time(); isTime {
		return s.flow.SourceOffsets.At(ctx, names, at)
	}
	if s.flow.Cfg.Start == settings.Latest { // the last stable offset: what is open now commits later
		return s.flow.SourceOffsets.Stable(ctx, names)
	}
	return earliest, nil
}

// settle has one partition go on where the facts have it go on, or says why it does not. Nothing is decided by an
// answer that did not come: a log is not cut because its leader is silent.
func (s *session) settle(ctx context.Context, c *candidate, m bothMarks) error {
	silent := m.silent(c)
	facts := s.facts(c, m, silent != nil)
	verdict := partition.Decide(facts)
	switch {
	case silent != nil && c.stop == nil:
		return &chunk.Trouble{Partition: c.partition, Err: silent}
	case silent != nil:
		if c.state == nil {
			c.header = ledger.Header{Start: ledger.NotStarted, Progress: ledger.NotStarted, Epoch: chunk.UnknownEpoch}
		}
		return nil
	case !facts.Ledger.Started:
		c.header = ledger.Header{Start: verdict.From, Progress: verdict.From, Epoch: chunk.UnknownEpoch}
	}
	verdict, err := s.settleCut(ctx, c, facts)
	if err != nil || c.stop != nil {
		return err
	}
	switch verdict.Action {
	case partition.Begin, partition.Refill:
		if err := s.adopt(ctx, c, verdict); err != nil || c.stop != nil {
			return err
		}
	case partition.Continue:
	default:
		return nil
	}
	s.leaveHole(c, verdict.Hole)
	return nil
}

// silent is why the source has not told all that it was asked about a partition.
func (m bothMarks) silent(c *candidate) error {
	asked := []listoffsets.Offsets{m.Earliest, m.Start, m.End}
	if c.state != nil && c.header.Epoch >= 0 {
		asked = append(asked, m.Epochs)
	}
	for _, marks := range asked {
		if mark, there := marks[c.partition]; !there {
			return fmt.Errorf("the source does not know partition %s", c.partition)
		} else if mark.Err != nil {
			return fmt.Errorf("the source does not answer for partition %s: %w", c.partition, mark.Err)
		}
	}
	return nil
}

// adopt binds the map to the target topic that is there now. A topic that was
// created again begins another map and is filled from the source's beginning;
// one that holds records of somebody else is refused before anything is written.
func (s *session) adopt(ctx context.Context, c *candidate, verdict partition.Verdict) error {
	name := fmt.Sprintf("%s/%d", c.topic.Target, c.partition.Number)
	if from := verdict.From; verdict.Action == partition.Refill {
		s.log.Warn("target topic was created again, copying it anew", "partition", c.partition, "target", name,
			"remedy", "nothing to do; the groups follow as the records arrive")
		c.header = ledger.Header{
			Generation: c.header.Generation + 1, Start: from, Progress: from, Epoch: chunk.UnknownEpoch,
			Holes: c.header.Holes, Lost: c.header.Lost, LastHole: c.header.LastHole, SourceTopic: c.header.SourceTopic,
			Cuts: c.header.Cuts.WithoutLeft(from, time.UnixMilli(time.Now().UnixMilli())),
		}
	}
	end, err := s.flow.targetEnd(ctx, c.topic.Target, c.partition.Number)
	if err != nil {
		return err
	}
	if end > 0 && verdict.Foreign {
		at, found, err := s.flow.Scan.First(ctx, c.topic.Target, c.partition.Number, 0, end, true)
		if err != nil {
			return fmt.Errorf("look for foreign records in %s: %w", name, err)
		}
		if found {
			c.stop = s.flow.Writers.Stop(ctx, c.partition, chunk.Partition{Topic: c.topic.Target,
				Number: c.partition.Number}, at)
			return nil
		}
	} else if end > 0 {
		s.log.Warn("source topic was created again, its records follow those of the former one",
			"partition", c.partition, "target", name, "remedy", "nothing to do, if that was intended")
	}
	c.header.TargetTopic, c.header.Floor = c.topic.TargetID, end
	return nil
}

// leaveHole has copying go on behind what retention has taken before it was copied.
func (s *session) leaveHole(c *candidate, hole partition.Hole) {
	lost := hole.Offsets()
	if lost == 0 {
		return
	}
	s.log.Error("source records were deleted before they were copied", "partition", c.partition,
		"from", hole.From, "to", hole.To, "at_most", lost,
		"remedy", "raise retention on the source or give the daemon more room; what was deleted cannot be copied, "+
			"copying goes on after it")
	s.flow.Metrics.Hole(s.flow.Name, c.partition, lost)
	c.header.Holes++
	c.header.Lost += lost
	c.header.LastHole = ledger.Hole{From: hole.From, To: hole.To}
	c.header.Progress, c.header.Epoch = hole.To, chunk.UnknownEpoch
}

// commitHeaders writes what arranging has decided, if it is news.
func (s *session) commitHeaders(ctx context.Context, list []*candidate) error {
	var changes []ledger.Change
	for _, c := range list {
		c.header.Stop = keepStop(c)
		if c.state == nil || !c.header.Equal(c.state.Header) {
			changes = append(changes, ledger.Change{Key: c.key, Header: c.header, Cut: c.cut, Foreign: c.foreign})
		}
	}
	if len(changes) == 0 && s.book.Made {
		return nil
	}
	p, err := s.book.Prepare(changes)
	if err != nil {
		return err
	}
	if !s.book.Made {
		s.book.PrepareMade(p, s.flow.Cfg.Shards)
	}
	if err := s.out.Begin(); err != nil {
		return err
	}
	return s.send(ctx, p)
}

// keepStop is what the ledger says of a candidate's Stop; one that lasts keeps
// the time at which it began.
func keepStop(c *candidate) *ledger.Stop {
	if c.stop == nil {
		return nil
	}
	stop := &ledger.Stop{Kind: c.stop.Kind, Reason: c.stop.Reason, Fix: c.stop.Fix}
	stop.Since = time.UnixMilli(time.Now().UnixMilli())
	if c.state != nil && c.state.Stop != nil && c.state.Stop.Kind == stop.Kind {
		stop.Since = c.state.Stop.Since
	}
	return stop
}
