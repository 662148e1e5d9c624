package replicate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/watermarks"
)

// picture is what both clusters said, in the order of the fields. The order
// matters:
//
//   - group positions come before the ends, so that no lag is negative;
//   - the target's last stable offsets come before the ledger, which is then read
//     beyond what it held at that time: its maps explain every record of ours below
//     those ends. The other way round, markers that arrive in between would show
//     records that no map knows, and a position at the end would skip them;
//   - the source's ends come after it, so that progress is never ahead of them, and so do the ends by which the target
//     is seen to have lost records that the ledger knows.
type picture struct {
	held     []groups.Held
	listed   int // groups on the source
	source   *seenCluster
	target   *seenCluster
	topics   []string         // selected ones of the source
	earliest watermarks.Marks // of the target
	stable   watermarks.Marks // of the target
	books    []book           // by shard; none while there is no ledger

	sourceEarliest, sourceStable, sourceHigh, starts, epochs watermarks.Marks
	targetEnds                                               watermarks.Marks
	// targetCuts is how far the target holds what was copied, by source partition, where its log ends before that.
	targetCuts map[chunk.Partition]offsets.Source

	taken     time.Time
	problems  []error // what could not be seen
	work      work
	hidden    map[string]error // topics that the ledger knows and the source does not let us see
	ledgerErr error            // why the ledger could not be read: then nothing is known of the flow
}

// book is one ledger partition as read.
type book struct {
	*ledger.Shard
	// unsettled: a transaction on it stayed open. Records of it may be on the target already, unexplained.
	unsettled bool
}

// lasting is a problem that stays however long one waits, whatever runs.
type lasting struct{ error }

func (l *lasting) Unwrap() error { return l.error }

// errUnsettled is why nothing is translated then.
var errUnsettled = errors.New("a transaction is open on its ledger partition, as after a replica was killed while " +
	"it committed; the target ends it within a minute")

// look takes a picture; only the topics for which wanted is true, and the groups
// where withGroups is.
func (i *Inspection) look(ctx context.Context, wanted func(topic string) bool, withGroups bool) (*picture, error) {
	p := &picture{}
	var err error
	if withGroups {
		if p.held, p.listed, err = i.lookAtGroups(ctx); err != nil {
			p.problems = append(p.problems, err)
		}
	}
	if p.source, err = describe(ctx, i.source, i.sourceCluster, nil); err != nil {
		return nil, err
	}
	targets, err := i.lookAtTarget(ctx, p, wanted)
	if err != nil {
		return nil, err
	}
	if err := i.lookForIDs(ctx, p); err != nil {
		return nil, err
	}
	if p.earliest, err = i.targetMarks.Earliest(ctx, targets); err != nil {
		return nil, err
	}
	if p.stable, err = i.targetMarks.Stable(ctx, targets); err != nil {
		return nil, err
	}
	if err := i.readLedger(ctx, p); err != nil {
		return nil, err
	}
	if err := i.lookAtSource(ctx, p); err != nil {
		return nil, err
	}
	return p, i.lookForTargetCuts(ctx, p, targets)
}

// lookAtTarget describes the topics that the selected ones of the source are copied
// to, and the ledger; it answers which of them can be asked for more. They are asked
// for by name: what we may not see is missing from a list of all without an error.
func (i *Inspection) lookAtTarget(ctx context.Context, p *picture, wanted func(topic string) bool) ([]string, error) {
	names := []string{i.cfg.LedgerTopic()}
	for name := range p.source.topics {
		target, verdict := i.policy.Topic(name)
		if !wanted(name) || !verdict.Selected && !verdict.Blocked {
			continue
		}
		p.topics = append(p.topics, name)
		if verdict.Selected {
			names = append(names, target)
		}
	}
	var err error
	if p.target, err = describe(ctx, i.target, i.targetCluster, names); err != nil {
		return nil, err
	}
	var targets []string
	for _, name := range names[1:] {
		if topic, there := p.target.topics[name]; there && topic.err == nil {
			targets = append(targets, name)
		}
	}
	return targets, nil
}

// lookForHidden asks by name for the topics that the ledger knows and the source
// does not list: those that we may not see look like deleted ones. It notes each of
// them, and why it cannot be seen.
func (i *Inspection) lookForHidden(ctx context.Context, p *picture) error {
	missing := map[string]bool{}
	for _, b := range p.books {
		for _, k := range b.Keys() {
			_, verdict := i.policy.Topic(k.Partition.Topic)
			if _, there := p.source.topics[k.Partition.Topic]; !there && verdict.Selected {
				missing[k.Partition.Topic] = true
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(missing))
	seen, err := describe(ctx, i.source, i.sourceCluster, names)
	if err != nil {
		return err
	}
	p.hidden = map[string]error{}
	for _, name := range names {
		if topic, there := seen.topics[name]; there && topic.err != nil {
			p.hidden[name] = topic.err
			p.problems = append(p.problems, topic.err)
		}
	}
	return nil
}

// readLedger reads all ledger partitions, each at least up to the high watermark
// that it has now.
func (i *Inspection) readLedger(ctx context.Context, p *picture) error {
	name := i.cfg.LedgerTopic()
	topic, there := p.target.topics[name]
	if !there {
		p.ledgerErr = i.missesLedger(ctx)
	}
	switch {
	case p.ledgerErr != nil:
		return nil
	case !there:
		return i.sameFlow(ctx, p)
	case topic.err != nil:
		p.ledgerErr = topic.err
		return nil
	case !topic.may(kmsg.ACLOperationRead):
		p.ledgerErr = i.targetCluster.Denied("Read", "topic "+name, nil)
		return nil
	}
	if topic.partitions != i.cfg.Shards {
		p.problems = append(p.problems, &lasting{&ShardsError{Ledger: name, Have: topic.partitions, Want: i.cfg.Shards}})
	}
	ends, err := i.targetMarks.Ends(ctx, []string{name})
	if err != nil {
		return err
	}
	stable, err := i.settled(ctx, name, ends)
	if err != nil {
		return err
	}
	p.books = make([]book, topic.partitions)
	least := make([]int64, topic.partitions)
	for shard := range least {
		at := chunk.Partition{Topic: name, Number: int32(shard)}
		end, err := offsetOf(ends, at)
		if err != nil {
			return i.targetCluster.Explain(err)
		}
		reached, err := offsetOf(stable, at)
		if err != nil {
			return i.targetCluster.Explain(err)
		}
		least[shard] = min(end, reached)
		p.books[shard].unsettled = reached < end
	}
	read, err := i.ledger.Shards(ctx, least)
	if err != nil {
		return i.targetCluster.Explain(err)
	}
	for shard := range read {
		p.books[shard].Shard = read[shard]
	}
	return i.sameFlow(ctx, p)
}

// offsetOf is a partition's offset, or why the cluster does not tell it.
func offsetOf(marks watermarks.Marks, p chunk.Partition) (int64, error) {
	mark, ok := marks[p]
	if !ok {
		mark.Err = errors.New("the cluster does not answer for this partition")
	}
	if mark.Err != nil {
		return 0, fmt.Errorf("end of %s: %w", p, mark.Err)
	}
	return mark.Offset, nil
}

// settled waits until the ledger's last stable offsets have reached the ends, for
// settleWait at most, and answers how far they are.
func (i *Inspection) settled(ctx context.Context, ledger string, ends watermarks.Marks) (watermarks.Marks, error) {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for limit := time.Now().Add(i.settleWait); ; {
		stable, err := i.targetMarks.Stable(ctx, []string{ledger})
		if err != nil {
			return nil, err
		}
		behind := false
		for p, end := range ends {
			behind = behind || stable[p].Offset < end.Offset
		}
		if !behind || time.Now().After(limit) {
			return stable, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// lookAtSource asks for the ends of the source's logs, and where partitions start
// that have not started yet.
func (i *Inspection) lookAtSource(ctx context.Context, p *picture) (err error) {
	if p.sourceEarliest, err = i.sourceMarks.Earliest(ctx, p.topics); err != nil {
		return err
	}
	p.starts = p.sourceEarliest
	if at, isTime := i.cfg.Start.Time(); isTime {
		p.starts, err = i.sourceMarks.At(ctx, p.topics, at)
	} else if i.cfg.Start == Latest {
		p.starts, err = i.sourceMarks.Stable(ctx, p.topics)
	}
	if err != nil {
		return err
	}
	// The high watermarks come first: a stable offset that has not reached one by now is held back by a transaction,
	// not by records that came in between.
	if p.sourceHigh, err = i.sourceMarks.Ends(ctx, p.topics); err != nil {
		return err
	}
	if p.sourceStable, err = i.sourceMarks.Stable(ctx, p.topics); err != nil {
		return err
	}
	p.taken = time.Now()
	return i.askEpochs(ctx, p)
}

// spot is one partition in a picture.
type spot struct {
	partition chunk.Partition // by its source topic
	at        chunk.Partition // on the target
	shard     int
	book      *book         // nil: there is no ledger yet
	state     *ledger.State // nil: not started
	facts     partition.Facts
	verdict   partition.Verdict
	cut       *ledger.Cut // that is not decided or whose order nobody has carried out; nil: none
	order     *CutOrder   // about that cut, as the ledger has it; nil: none
	orderErr  error       // why that cannot be read

	earliest, stable offsets.Source // of the source
	high             offsets.Source
	unknown          error // why the source does not tell them

	blocked                        string // why no topic of the target can have its records; "": one can
	targetErr                      error  // why the target topic cannot be described
	targetThere                    bool   // the partition is on the target
	targetSame                     bool   // it belongs to the topic that the map is about
	targetID                       chunk.TopicID
	targetEarliest, targetEarlyEnd offsets.Target
}

// spotOf finds a partition of a source topic that is in the picture.
func (i *Inspection) spotOf(p *picture, at chunk.Partition) *spot {
	target, verdict := i.policy.Topic(at.Topic)
	s := &spot{partition: at, at: chunk.Partition{Topic: target, Number: at.Number}, shard: at.Shard(i.cfg.Shards)}
	if verdict.Blocked {
		s.blocked = verdict.Why
	}
	if n := len(p.books); n > 0 {
		s.shard = at.Shard(n)
		s.book = &p.books[s.shard]
		s.state = s.book.State(s.book.KeyOf(p.source.topics[at.Topic].id, at))
	}
	if s.state != nil && s.state.Start == ledger.NotStarted {
		s.state = &ledger.State{Header: s.state.Header, Map: &offsets.Map{}} // it may hold a Stop
	}
	for _, m := range []struct {
		into  *offsets.Source
		marks watermarks.Marks
	}{{&s.earliest, p.sourceEarliest}, {&s.stable, p.sourceStable}, {&s.high, p.sourceHigh}} {
		mark, ok := m.marks[at]
		if !ok {
			mark.Err = errors.New("the source does not answer for this partition")
		}
		if mark.Err != nil {
			s.unknown = mark.Err
		}
		*m.into = offsets.Source(mark.Offset)
	}
	s.targetErr, s.targetID = p.target.topics[target].err, p.target.topics[target].id
	var known, knownEnd bool
	s.targetEarliest, known = markOf(p.earliest, s.at)
	s.targetEarlyEnd, knownEnd = markOf(p.stable, s.at)
	s.targetThere = known && knownEnd
	s.targetSame = s.targetThere && s.state != nil && s.state.TargetTopic == s.targetID
	s.decide(p)
	s.seeCut(p)
	return s
}

// decide says what a run of the flow would do with the partition.
func (s *spot) decide(p *picture) {
	topic, described := p.target.topics[s.at.Topic]
	marks := sourceMarks{p.sourceEarliest, p.sourceHigh, p.starts, p.epochs}
	s.facts = partition.Facts{
		Ledger: ledgerFacts(s.book != nil && s.book.Made, s.state), Source: marks.facts(s.partition),
		Target: partition.Target{Hidden: s.targetErr != nil, Topic: s.targetID, End: endFact(p.targetEnds, s.at),
			There: described && s.targetErr == nil && int(s.at.Number) < topic.partitions, Silent: !s.targetThere},
		TopicStopped: s.blocked != "",
	}
	s.facts.Quarantined = s.stop() != nil
	s.facts.Source.Silent = s.unknown != nil
	s.facts.Target.Own = s.book != nil && (s.targetSame || s.book.Fills(s.partition, s.targetID))
	s.verdict = partition.Decide(s.facts)
}

// started says whether the partition has a position.
func (s *spot) started() bool { return s.state != nil && s.state.Start != ledger.NotStarted }

// stop is why the ledger says that the partition is not copied; nil: nothing. That of a cut is void with the cut.
func (s *spot) stop() *ledger.Stop {
	if s.state == nil || s.state.Stop == nil || stopOf(s.partition, s.state.Stop).Waits() && !s.facts.OpenCut() {
		return nil
	}
	return s.state.Stop
}

// next is the source offset that is copied next, as far as ends tell.
func (s *spot) next() offsets.Source {
	if s.cut != nil && !s.facts.Gone() {
		return max(s.cut.At, s.earliest)
	}
	return s.verdict.From
}

// standing is what translations of the partition go by, or why there can be none.
func (s *spot) standing() (standing, error) {
	switch {
	case !s.started():
		return standing{}, errors.New("the partition has not been copied yet")
	case s.book.unsettled:
		return standing{}, errUnsettled
	case s.targetErr != nil:
		return standing{}, s.targetErr
	case !s.targetThere:
		return standing{}, errors.New("the target topic is not there")
	case !s.targetSame:
		return standing{}, errors.New("the target topic is another one than was copied to")
	}
	return standing{
		partition: s.partition, at: s.at, shard: int32(s.shard), state: s.state, cut: s.cut, cutFix: s.cutFix(),
		earliest: s.targetEarliest, stable: s.targetEarlyEnd, ahead: true,
		source: func(context.Context) (sourceLog, error) { return sourceLog{s.earliest, s.high}, s.unknown },
	}, nil
}

// lookAtGroups asks again while groups have no coordinator yet.
func (i *Inspection) lookAtGroups(ctx context.Context) ([]groups.Held, int, error) {
	tick := time.NewTicker(coordinatorEvery)
	defer tick.Stop()
	for giveUp := time.Now().Add(reachLimit); ; {
		held, listed, err := i.groups.Look(ctx)
		waiting := func(h groups.Held) bool { return h.Err != nil && noCoordinatorYet(h.Err) }
		if err != nil || !slices.ContainsFunc(held, waiting) || time.Now().After(giveUp) {
			return held, listed, err
		}
		select {
		case <-ctx.Done():
			return held, listed, ctx.Err()
		case <-tick.C:
		}
	}
}

// coordinatorEvery spaces the tries until a group has a coordinator.
const coordinatorEvery = 200 * time.Millisecond

// noCoordinatorYet: a new cluster makes its offsets topic when it is first asked for
// a group, and one that was just started loads it.
func noCoordinatorYet(err error) bool {
	return errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) ||
		errors.Is(err, kerr.NotCoordinator)
}

// whyNoGroup explains an answer about the group; a group that is not there is no error.
func whyNoGroup(cluster kafka.Config, group string, err error) error {
	switch {
	case errors.Is(err, kerr.GroupIDNotFound):
		return nil
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return cluster.Denied("Describe", "group "+group, err)
	}
	return fmt.Errorf("describe group %s: %w", group, cluster.Explain(err))
}
