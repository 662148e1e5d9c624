package inspect

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"replicator/pkg/offsets"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
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
	// Seen is when the flow noted it; null: it has not yet, this answer alone has seen it.
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

// GivenUp is a stretch of the source that an order of 'resume' or a failback has left out.
type GivenUp struct {
	Range
	Ordered time.Time `json:"ordered"`
	// Records of it are not on the target, as a failback has counted them; left out: at most as many as it has offsets.
	Records int64 `json:"records,omitempty"`
}

// Most is how many records were given up, at most.
func (g *GivenUp) Most() int64 {
	if g.Counted() {
		return g.Records
	}
	return g.To - g.From
}

// Counted says that Most is not at most, but exact.
func (g *GivenUp) Counted() bool { return g.Records > 0 }

// Within is what of it stands in [from,to), where its records are counted only of the whole.
func (g GivenUp) Within(from, to int64) GivenUp {
	if from > g.From || to < g.To {
		g.From, g.To, g.Records = max(from, g.From), min(to, g.To), 0
	}
	return g
}

func (g GivenUp) String() string {
	who, upTo := "an operator", "up to "
	if g.Counted() {
		who, upTo = "a failback", ""
	}
	return fmt.Sprintf("%s has given up source offsets [%d,%d) on %s, %s%d records", who, g.From, g.To,
		g.Ordered.Format(time.RFC3339), upTo, g.Most())
}

// givenUp are those of the partition.
func givenUp(view *snapshot.PartitionView) (list []GivenUp) {
	if view.Started() {
		for _, one := range view.State.GivenUp() {
			list = append(list, GivenUp{Range{int64(one.From), int64(one.To)}, one.Ordered, one.Records})
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
func OpenCuts(ctx context.Context, v *snapshot.Viewer) ([]OpenCut, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshot.TakeLimit)
	defer cancel()
	snap, err := TakeRan(ctx, v, func(string) bool { return true }, false,
		"start it with 'replicator run': only what was copied can be cut")
	if err != nil {
		return nil, err
	}
	var list []OpenCut
	for _, view := range snap.Views() {
		if !view.Facts.OpenCut() {
			continue
		}
		cut := view.State.Cuts.Open()
		list = append(list, OpenCut{
			Partition: view.Source, Side: ledger.SideOf(cut), At: cut.At, Copied: cut.Copied, Seen: cut.Seen,
			SourceEnd: view.Stable,
			New:       max(int64(view.Stable-cut.At), 0), Lost: int64(cut.Copied - cut.At), Unknown: view.Unknown,
			key: view.Book.KeyOf(snap.Source.Topics[view.Source.Topic].ID, view.Source), cuts: view.State.Cuts,
			shard: view.Shard, Ordered: CutStatusOf(view).Ordered,
		})
	}
	slices.SortFunc(list, func(a, b OpenCut) int { return a.Partition.Compare(b.Partition) })
	return list, nil
}

// Resume orders, about each of the cuts, that copying goes on: from the cut, or, with
// fromEnd, from where the source ended when it was asked. The order is a note in
// the ledger that stays there; whoever owns the shard carries it out, at once if the
// flow runs, else when it runs next. An order that does not fit any more when it is
// read, since the source was cut again, changes nothing.
func Resume(ctx context.Context, v *snapshot.Viewer, cuts []OpenCut, fromEnd bool, program string) error {
	byShard := map[int][]ledger.Record{}
	for _, c := range cuts {
		order := ledger.CutOrder{Version: 1, Topic: c.Partition.Topic, Partition: c.Partition.Number, At: c.At,
			Copied: c.Copied,
			From:   c.At, LostOnly: c.Lost, Ordered: time.UnixMilli(time.Now().UnixMilli()).UTC(), Program: program}
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
		byShard[c.shard] = append(byShard[c.shard], ledger.NoteRecord(ledger.OrderName(c.key, c.cuts), text))
	}
	for shard, records := range byShard {
		if err := ledger.WriteInShard(ctx, v.TargetCluster, &v.Flow, shard, records); err != nil {
			return err
		}
	}
	return nil
}

// CutStatusOf is what status says of a partition's cuts; nil: there was none.
func CutStatusOf(view *snapshot.PartitionView) *CutStatus {
	status := &CutStatus{}
	last := view.Cut
	var list []ledger.Cut
	if view.State != nil && view.State.Cuts != nil {
		status.Count, list = view.State.Cuts.Real()
		status.Offsets = view.State.Cuts.Lost
		status.OnTarget = len(view.State.Cuts.Left()) > 0
		if last == nil && len(list) > 0 {
			last = &list[len(list)-1]
		}
	}
	if last == nil {
		return nil
	}
	status.Side, status.At, status.Copied = ledger.SideOf(last), last.At, last.Copied
	status.BothSides = slices.ContainsFunc(list, func(c ledger.Cut) bool { return c.Target != last.Target })
	status.OnTarget = status.OnTarget || view.Cut != nil
	if last.Seen.IsZero() {
		status.Count, status.Offsets = status.Count+1, status.Offsets+int64(last.Copied-last.At)
	} else {
		status.Seen = &last.Seen
	}
	if view.Order != nil {
		status.Ordered = &OrderStatus{view.Order.Ordered, view.Order.From, view.OrderFits()}
	}
	if last.Resumed != ledger.Undecided {
		status.Resumed, status.Decided = &last.Resumed, &last.Decided
	}
	return status
}

// NamedCuts are the cuts of topics or partitions with those names, all for none; and
// the names that have no cut.
func NamedCuts(all []OpenCut, names []string) (cuts []OpenCut, unknown []string) {
	if len(names) == 0 {
		return all, nil
	}
	for _, c := range all {
		if slices.Contains(names, c.Partition.Topic) || slices.Contains(names, c.Partition.String()) {
			cuts = append(cuts, c)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(all, func(c OpenCut) bool {
			return c.Partition.Topic == name || c.Partition.String() == name
		}) {
			unknown = append(unknown, name)
		}
	}
	return cuts, unknown
}

// WaitingCuts lists the partitions that wait.
func WaitingCuts(all []OpenCut) string {
	if len(all) == 0 {
		return "no partition waits for an order"
	}
	var list []string
	for _, c := range all {
		list = append(list, c.Partition.String())
	}
	return "these wait for an order: " + strings.Join(list, ", ")
}
