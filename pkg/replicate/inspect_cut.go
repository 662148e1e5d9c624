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
	"replicator/pkg/replicate/watermarks"
)

// CutStatus sums up the cuts of a partition's source, and tells of the latest.
type CutStatus struct {
	Count   int64 `json:"count"`
	Offsets int64 `json:"offsets"` // source offsets in all of them: at most that many records are on the target alone
	// At is where the log was cut, Copied the progress then: what stood in [At,Copied) the source has lost.
	At     offsets.Source `json:"cut"`
	Copied offsets.Source `json:"copied"`
	// Seen is when the flow noted it; null: it has not yet, this look alone has seen it.
	Seen *time.Time `json:"seen"`
	// Resumed is where copying went on, Decided when that was ordered; null: nobody has decided.
	Resumed *offsets.Source `json:"resumed"`
	Decided *time.Time      `json:"decided"`
}

// Open says that nobody has decided about the latest cut.
func (c *CutStatus) Open() bool { return c != nil && c.Resumed == nil }

// OpenCut is a cut of the source that waits for an operator.
type OpenCut struct {
	Partition chunk.Partition `json:"-"`      // by its source topic
	At        offsets.Source  `json:"cut"`    // where the log was cut
	Copied    offsets.Source  `json:"copied"` // progress then
	Seen      time.Time       `json:"seen"`
	SourceEnd offsets.Source  `json:"source_end"` // its last stable offset now
	// New counts source offsets from At to SourceEnd: at most that many records have come since. Lost those in
	// [At,Copied): at most that many are on the target alone.
	New     int64 `json:"new"`
	Lost    int64 `json:"lost"`
	Unknown error `json:"-"` // why SourceEnd is not known

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
	if err != nil {
		return nil, err
	}
	var list []OpenCut
	for _, s := range i.spots(p) {
		if s.state == nil || s.state.Cuts.Open() == nil {
			continue
		}
		cut := s.state.Cuts.Open()
		list = append(list, OpenCut{
			Partition: s.partition, At: cut.At, Copied: cut.Copied, Seen: cut.Seen, SourceEnd: s.stable,
			New: max(int64(s.stable-cut.At), 0), Lost: int64(cut.Copied - cut.At), Unknown: s.unknown,
			key: ledger.Key{Topic: p.source.topics[s.partition.Topic].id, Partition: s.partition}, cuts: s.state.Cuts,
			shard: s.shard,
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

// cutSeen is how far the source still holds what was copied, by its log's end and by
// the end of the epoch of the progress: the progress, where nothing was cut.
func cutSeen(h ledger.Header, end watermarks.Mark, epochs watermarks.Marks, p chunk.Partition) offsets.Source {
	at := min(h.Progress, offsets.Source(end.Offset))
	if mark, asked := epochs[p]; asked && mark.Err == nil && mark.Offset >= 0 && h.Epoch >= 0 {
		at = min(at, offsets.Source(mark.Offset))
	}
	return max(at, 0)
}

// seeCut is the cut that keeps a partition from being copied: the ledger's, or one
// that shows now and that the flow will note when it looks.
func (s *spot) seeCut(p *picture) {
	if !s.started() {
		return
	}
	if s.cut = s.state.Cuts.Open(); s.cut != nil || s.unknown != nil || s.state.Progress < s.earliest {
		return
	}
	if at := cutSeen(s.state.Header, p.sourceHigh[s.partition], p.epochs, s.partition); at < s.state.Progress {
		s.cut = &ledger.Cut{At: at, Copied: s.state.Progress, Epoch: s.state.Epoch, Resumed: ledger.Undecided}
	}
}

// cutStatus is what status says of a partition's cuts; nil: there was none.
func (s *spot) cutStatus() *CutStatus {
	status := &CutStatus{}
	last := s.cut
	if s.state != nil && s.state.Cuts != nil {
		status.Count, status.Offsets = s.state.Cuts.Count, s.state.Cuts.Lost
		if last == nil {
			last = &s.state.Cuts.List[len(s.state.Cuts.List)-1]
		}
	}
	if last == nil {
		return nil
	}
	status.At, status.Copied = last.At, last.Copied
	if last.Seen.IsZero() {
		status.Count, status.Offsets = status.Count+1, status.Offsets+int64(last.Copied-last.At)
	} else {
		status.Seen = &last.Seen
	}
	if last.Resumed != ledger.Undecided {
		status.Resumed, status.Decided = &last.Resumed, &last.Decided
	}
	return status
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
