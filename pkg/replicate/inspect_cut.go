package replicate

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/partition"
)

// CutStatus sums up the cuts of a partition on either side, and tells of the latest.
type CutStatus struct {
	Count   int64  `json:"count"`
	Offsets int64  `json:"offsets"` // source offsets in all of them: at most that many records one side has lost
	Side    string `json:"side"`    // whose log the latest was: source or target
	// BothSides: the logs of both were cut, so that Offsets is not what Side alone has lost.
	BothSides bool `json:"both_sides"`
	// OnTarget: the target topic is the one that they were copied to, and has what the source lost as far as its
	// retention goes.
	OnTarget bool `json:"on_target"`
	// At is where the log was cut, Copied the progress then: what stood in [At,Copied) that side has lost.
	At     offsets.Source `json:"cut"`
	Copied offsets.Source `json:"copied"`
	// Seen is when the flow noted it; null: it has not yet, this look alone has seen it.
	Seen *time.Time `json:"seen"`
	// Resumed is where copying went on, Decided when that was ordered; null: nobody has decided.
	Resumed *offsets.Source `json:"resumed"`
	Decided *time.Time      `json:"decided"`
	// Ordered is an order about the latest cut that no replica has carried out; null: there is none.
	Ordered *OrderStatus `json:"ordered"`
}

// Open says that copying does not go on behind the latest cut.
func (c *CutStatus) Open() bool { return c != nil && c.Resumed == nil }

// Waits says that an order to go on waits for a replica to carry it out.
func (c *CutStatus) Waits() bool { return c.Open() && c.Ordered != nil && c.Ordered.Fits }

// Undecided says that the latest cut is noted, and copying goes on only when an operator has decided.
func (c *CutStatus) Undecided() bool { return c.Open() && c.Seen != nil && !c.Waits() }

// OrderStatus is an order of 'resume' that no replica has carried out.
type OrderStatus struct {
	At   time.Time      `json:"at"`
	From offsets.Source `json:"from"` // where copying is to go on
	// Fits: it is about the cut as it is now, and a position of the log; if not, it is never carried out.
	Fits bool `json:"fits"`
}

// GivenUp is a stretch of the source that an order of 'resume' has left out: at most as
// many records as it has offsets are not on the target.
type GivenUp struct {
	Range
	Ordered time.Time `json:"ordered"`
}

func (g GivenUp) String() string {
	return fmt.Sprintf("'replicator resume' has given up source offsets [%d,%d) on %s, up to %d records", g.From, g.To,
		g.Ordered.Format(time.RFC3339), g.To-g.From)
}

// givenUp are those of the partition.
func (s *spot) givenUp() (list []GivenUp) {
	if s.started() {
		for _, one := range s.state.GivenUp() {
			list = append(list, GivenUp{Range{int64(one.From), int64(one.To)}, one.Ordered})
		}
	}
	return list
}

// OpenCut is a cut of either side that waits for an operator.
type OpenCut struct {
	Partition chunk.Partition `json:"-"`      // by its source topic
	Side      string          `json:"side"`   // whose log: source or target
	At        offsets.Source  `json:"cut"`    // where the log was cut
	Copied    offsets.Source  `json:"copied"` // progress then
	Seen      time.Time       `json:"seen"`
	SourceEnd offsets.Source  `json:"source_end"` // its last stable offset now
	// New counts source offsets from At to SourceEnd: at most that many records are to be copied from the cut on. Lost
	// those in [At,Copied): at most that many that side has lost.
	New     int64 `json:"new"`
	Lost    int64 `json:"lost"`
	Unknown error `json:"-"` // why SourceEnd is not known
	// Ordered is an order about it that no replica has carried out, which another one replaces; null: there is none.
	Ordered *OrderStatus `json:"ordered"`

	key   ledger.Key
	cuts  *ledger.Cuts
	shard int
}

// OpenCuts lists the cuts that wait for an operator, by topic and number.
func (i *Inspection) OpenCuts(ctx context.Context) ([]OpenCut, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	p, err := i.look(ctx, func(string) bool { return true }, false)
	if err == nil {
		err = p.ledgerErr
	}
	if err == nil && len(p.books) == 0 {
		err = i.neverRan(ctx, "start it with 'replicator run': only what was copied can be cut")
	}
	if err != nil {
		return nil, err
	}
	var list []OpenCut
	for _, s := range i.spots(p) {
		if !s.facts.OpenCut() {
			continue
		}
		cut := s.state.Cuts.Open()
		list = append(list, OpenCut{
			Partition: s.partition, Side: sideOf(cut), At: cut.At, Copied: cut.Copied, Seen: cut.Seen, SourceEnd: s.stable,
			New: max(int64(s.stable-cut.At), 0), Lost: int64(cut.Copied - cut.At), Unknown: s.unknown,
			key: s.book.KeyOf(p.source.topics[s.partition.Topic].id, s.partition), cuts: s.state.Cuts,
			shard: s.shard, Ordered: s.cutStatus().Ordered,
		})
	}
	slices.SortFunc(list, func(a, b OpenCut) int { return a.Partition.Compare(b.Partition) })
	return list, nil
}

// Resume orders, about each of the cuts, that copying goes on: from the cut, or, with
// fromEnd, from where the source ended when it was looked at. The order is a note in
// the ledger that stays there; whoever owns the shard carries it out, at once if the
// flow runs, else when it runs next. An order that does not fit any more when it is
// read, since the source was cut again, changes nothing.
func (i *Inspection) Resume(ctx context.Context, cuts []OpenCut, fromEnd bool, program string) error {
	byShard := map[int][]ledger.Record{}
	for _, c := range cuts {
		order := CutOrder{Version: 1, Topic: c.Partition.Topic, Partition: c.Partition.Number, At: c.At, Copied: c.Copied,
			From: c.At, LostOnly: c.Lost, Ordered: time.UnixMilli(time.Now().UnixMilli()).UTC(), Program: program}
		switch {
		case c.Unknown != nil:
			return fmt.Errorf("%s: the source does not tell where it ends: %w", c.Partition, c.Unknown)
		case c.SourceEnd < c.At:
			return &kafka.Problem{What: fmt.Sprintf("%s: the source ends at offset %d by now, before the cut at %d",
				c.Partition, c.SourceEnd, c.At), Fix: "let the flow run once, so that it notes that; then decide again"}
		case fromEnd:
			order.From, order.Skips = c.SourceEnd, c.New
		}
		text, err := json.Marshal(order)
		if err != nil {
			return err
		}
		byShard[c.shard] = append(byShard[c.shard], ledger.NoteRecord(orderName(c.key, c.cuts), text))
	}
	for shard, records := range byShard {
		err := ledger.Take(ctx, i.targetCluster, i.cfg.LedgerTopic(), i.cfg.TransactionalID(int32(shard)), int32(shard),
			records)
		if err != nil {
			return i.targetCluster.ExplainTransactions(i.cfg.GroupID()+".", err)
		}
	}
	return nil
}

// seeCut is the cut that keeps a partition from being copied: the ledger's, or one that shows now and that the
// flow will note when it looks, if it does not find by the records that nothing was lost.
func (s *spot) seeCut(p *picture) {
	if s.facts.OpenCut() {
		s.cut = s.state.Cuts.Open()
		key := s.book.KeyOf(p.source.topics[s.partition.Topic].id, s.partition)
		s.order, s.orderErr = orderOf(s.book.Shard, key, s.state.Cuts)
		return
	}
	switch s.verdict.Action {
	case partition.CompareTarget:
		if at, found := p.targetCuts[s.partition]; found {
			s.cut = s.unseen(ledger.Cut{Target: true, At: at})
		}
	case partition.CompareSource:
		s.cut = s.unseen(ledger.Cut{At: s.facts.Source.Holds(s.facts.Ledger)})
	}
}

// unseen is a cut that the flow has not noted yet.
func (s *spot) unseen(cut ledger.Cut) *ledger.Cut {
	cut.Copied, cut.Epoch, cut.Resumed = s.state.Progress, s.state.Epoch, ledger.Undecided
	return &cut
}

// cutStatus is what status says of a partition's cuts; nil: there was none.
func (s *spot) cutStatus() *CutStatus {
	status := &CutStatus{}
	last := s.cut
	if s.state != nil && s.state.Cuts != nil {
		status.Count, status.Offsets = s.state.Cuts.Count, s.state.Cuts.Lost
		status.OnTarget = len(s.state.Cuts.Left()) > 0
		if last == nil {
			last = &s.state.Cuts.List[len(s.state.Cuts.List)-1]
		}
	}
	if last == nil {
		return nil
	}
	status.Side, status.At, status.Copied = sideOf(last), last.At, last.Copied
	if s.state != nil && s.state.Cuts != nil {
		status.BothSides = slices.ContainsFunc(s.state.Cuts.List, func(c ledger.Cut) bool { return c.Target != last.Target })
	}
	status.OnTarget = status.OnTarget || s.cut != nil
	if last.Seen.IsZero() {
		status.Count, status.Offsets = status.Count+1, status.Offsets+int64(last.Copied-last.At)
	} else {
		status.Seen = &last.Seen
	}
	if s.order != nil {
		status.Ordered = &OrderStatus{s.order.Ordered, s.order.From, s.orderFits()}
	}
	if last.Resumed != ledger.Undecided {
		status.Resumed, status.Decided = &last.Resumed, &last.Decided
	}
	return status
}

// resumeFix is what a cut waits for.
const resumeFix = "'replicator resume --dry-run' tells what either way gives up"

// cutFix is what has to be done before copying goes on behind the cut; "": an order waits, or the flow has to look
// into it first.
func (s *spot) cutFix() string {
	if s.cut == nil || s.cut.Seen.IsZero() || s.order != nil && s.orderFits() {
		return ""
	}
	_, fix := s.cutWords()
	return fix
}

// orderFits says whether whoever owns the shard will carry the order out.
func (s *spot) orderFits() bool { return s.unknown != nil || s.order.fits(s.cut, s.high) }

// cutWords say why the partition waits behind a cut, and what has it go on.
func (s *spot) cutWords() (reason, remedy string) {
	stop := cutStop(s.partition, s.cut)
	switch {
	case s.cut.Seen.IsZero():
		return stop.Reason, "let the flow run, so that it looks into it and notes the cut; " + stop.Fix
	case s.order == nil:
		return stop.Reason, stop.Fix
	case s.orderFits():
		return fmt.Sprintf("%s; since %s an order of 'replicator resume' to go on at offset %d waits, which no replica has "+
				"carried out yet", stop.Reason, s.order.Ordered.Format(time.RFC3339), s.order.From),
			fmt.Sprintf("the replica that has shard %d carries it out within seconds; where none runs, start one with "+
				"'replicator run'", s.shard)
	}
	return fmt.Sprintf("%s; the order of %s to go on at offset %d does not fit any more, since the log was cut again",
		stop.Reason, s.order.Ordered.Format(time.RFC3339), s.order.From), stop.Fix
}

// askEpochs asks the source where the epochs of the copies' progress end.
func (i *Inspection) askEpochs(ctx context.Context, p *picture) error {
	var at []chunk.Position
	for _, topic := range p.topics {
		for n := range p.source.topics[topic].partitions {
			s := i.spotOf(p, chunk.Partition{Topic: topic, Number: int32(n)})
			if s.started() && s.unknown == nil {
				at = append(at, chunk.Position{Partition: s.partition, Offset: s.state.Progress, Epoch: s.state.Epoch})
			}
		}
	}
	var err error
	p.epochs, err = i.sourceMarks.EpochEnds(ctx, at)
	return err
}

// lookForTargetCuts finds the partitions whose log on the target ends before the last record that the ledger knows.
// The ends are asked for after the ledger was read, so that they are behind all that it knows where nothing was lost.
func (i *Inspection) lookForTargetCuts(ctx context.Context, p *picture, targets []string) error {
	if len(p.books) == 0 {
		return nil
	}
	var err error
	if p.targetEnds, err = i.targetMarks.Ends(ctx, targets); err != nil {
		return err
	}
	found := map[chunk.Partition]offsets.Source{}
	for _, topic := range p.topics {
		for n := range p.source.topics[topic].partitions {
			s := i.spotOf(p, chunk.Partition{Topic: topic, Number: int32(n)})
			if s.verdict.Action != partition.CompareTarget {
				continue
			}
			answer, err := s.state.Map.Invert(s.facts.Target.End, s.state.Progress, i.segments(ctx, s))
			if err != nil {
				return err
			}
			found[s.partition] = answer.Source
		}
	}
	p.targetCuts = found
	return nil
}

// beforeCut is the partition as far as both logs hold it: where one of them was cut, its ledger up to there. own is
// where our records end then on the target.
func (i *Inspection) beforeCut(ctx context.Context, s *spot) (kept *spot, own offsets.Target, err error) {
	if s.cut == nil {
		return s, s.state.Expected(), nil
	}
	state, short := *s.state, *s
	state.Map, state.Progress, short.state = state.Map.Clone(), min(state.Progress, s.cut.At), &state
	_, err = state.Map.Cut(s.cut.At, i.segments(ctx, s))
	last, _ := state.Map.Last()
	return &short, last.TargetEnd(), err
}
