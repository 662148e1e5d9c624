package cutover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"replicator/pkg/operate/snapshot"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/survey"
)

// sourceWatch watches the source's ends, and knows what it means that they move, or that consumers still read.
type sourceWatch struct {
	viewer *snapshot.Viewer
	back   bool // its records are carried back by this command alone
	// flows tells what flows write there that are left out, since they bring what began on the target; nil: none is.
	flows  *provenance.SourceWriters
	brings map[int64]bool // what it told, by producer id: an id is claimed before it writes, or never

	first listoffsets.Offsets // the ends when the watch began; nil: it has not
	began time.Time
	ends  listoffsets.Offsets // when they were last seen to move
	still time.Time           // since when they have not
	asked time.Time           // when they were asked for last
}

// take asks for the ends; begun is false the first time, when there is nothing to compare them with.
func (w *sourceWatch) take(ctx context.Context) (moved []chunk.Partition, begun bool, err error) {
	names, err := w.selected(ctx)
	if err != nil {
		return nil, false, err
	}
	if len(names) == 0 {
		return nil, false, &kafka.Problem{What: "the flow selects no topic of cluster " + w.viewer.Flow.From,
			Fix: "see 'replicator check --connect' for the reason of each topic"}
	}
	w.asked = time.Now()
	ends, err := w.viewer.SourceOffsets.Ends(ctx, names)
	if err != nil {
		return nil, false, err
	}
	for p, listed := range ends {
		if before, known := w.ends[p]; !known || before.Offset != listed.Offset || listed.Err != nil {
			moved = append(moved, p)
		}
	}
	if w.first == nil {
		w.first, w.began, w.ends, w.still = ends, w.asked, ends, w.asked
		return nil, false, nil
	}
	if len(moved) > 0 || len(ends) != len(w.ends) {
		w.ends, w.still = ends, w.asked
	}
	return moved, true, nil
}

// stillFor is how long the ends have not moved.
func (w *sourceWatch) stillFor() time.Duration { return w.asked.Sub(w.still) }

// selected lists the flow's topics on the source.
func (w *sourceWatch) selected(ctx context.Context) ([]string, error) {
	seen, err := kafka.Describe(ctx, w.viewer.SourceClient, w.viewer.SourceCluster, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, topic := range seen.Topics {
		if _, verdict := w.viewer.Policy.Topic(name); verdict.Selected && topic.Err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// writers names topics, and the producers of which their brokers tell (KIP-664) that wrote lately. Those of flows that
// are left out are said to be so: nobody can stop them, and they end with what they bring.
func (w *sourceWatch) writers(ctx context.Context, moved []chunk.Partition, lately time.Duration) string {
	active, brought := map[string]map[int64]bool{}, map[string]bool{}
	for _, p := range moved {
		active[p.Topic] = map[int64]bool{}
	}
	now := time.Now()
	recently := now.Add(-lately)
	// Topics are named in any case: a broker that does not tell its producers is no reason to stop.
	seen, _ := survey.Of(w.viewer.SourceCluster, w.viewer.SourceClient).Producers(ctx, moved)
	for _, p := range seen {
		switch {
		case p.Last.Before(recently):
		case w.isBrought(ctx, p.ID, now):
			brought[p.Partition.Topic] = true
		default:
			active[p.Partition.Topic][p.ID] = true
		}
	}
	var list []string
	for _, topic := range slices.Sorted(maps.Keys(active)) {
		text := topic
		if ids := slices.Sorted(maps.Keys(active[topic])); len(ids) > 0 {
			text += " (producer ids " + strings.Trim(fmt.Sprint(ids), "[]") + ")"
		} else if brought[topic] {
			text += " (carried there by a flow from " + w.viewer.Flow.To + ")"
		}
		list = append(list, text)
	}
	return kafka.Few(list)
}

// isBrought says whether a flow that is left out is known to write under a producer id. To ask reads ledgers.
func (w *sourceWatch) isBrought(ctx context.Context, producer int64, now time.Time) bool {
	if w.flows == nil {
		return false
	}
	if brings, asked := w.brings[producer]; asked {
		return brings
	}
	brings, err := w.flows.Brings(ctx, producer, now)
	if err != nil {
		return false
	}
	if w.brings == nil {
		w.brings = map[int64]bool{}
	}
	w.brings[producer] = brings
	return brings
}

// arrived says what a source that is still written to has got while it was watched.
func (w *sourceWatch) arrived() string {
	by, total := map[string]int64{}, int64(0)
	for p, listed := range w.ends {
		if n := listed.Offset - w.first[p].Offset; listed.Err == nil && n > 0 {
			by[p.Topic] += n
			total += n
		}
	}
	var list []string
	for _, topic := range slices.Sorted(maps.Keys(by)) {
		list = append(list, fmt.Sprintf("%s %d", topic, by[topic]))
	}
	from, to := w.viewer.Flow.From, w.viewer.Flow.To
	where := fmt.Sprintf("reaches %s only while the flow runs", to)
	if w.back {
		where = fmt.Sprintf("stays on %s", from)
	}
	names := ""
	if total > 0 {
		names = " (" + kafka.Few(list) + ")"
	}
	return fmt.Sprintf("%s was not silent: up to %d records arrived in %s%s; what comes from now on %s", from, total,
		time.Since(w.began).Round(100*time.Millisecond), names, where)
}

// readsOn says what a group with members on the source may read there that it will
// read on the target again.
func (w *sourceWatch) readsOn(g *groups.Held, members int) string {
	again := int64(0)
	for _, p := range g.Positions {
		again += max(w.ends[p.Partition].Offset-p.Source.Offset, 0)
	}
	return fmt.Sprintf("group %s is at work on %s (%d members): of what it reads there from its positions on, up to %d "+
		"records are read again on %s", g.Group, w.viewer.Flow.From, members, again, w.viewer.Flow.To)
}

// readsAnywhere says what a group with members on the source that has committed no position comes to.
func (w *sourceWatch) readsAnywhere(group string, members int) string {
	return fmt.Sprintf("group %s is at work on %s (%d members) and has committed no position: it is not moved, and its "+
		"auto.offset.reset decides what it reads on %s", group, w.viewer.Flow.From, members, w.viewer.Flow.To)
}
