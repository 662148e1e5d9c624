package replicate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/cutover"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/survey"
	"replicator/pkg/replicate/watermarks"
)

// HandoverOptions say which applications move, and what has to hold before they may.
type HandoverOptions struct {
	Clusters  map[string]kafka.Config // the flow's two at least
	Flow      Config
	Groups    *regexp.Regexp // whole names on the source; nil: all that the flow selects
	SilentFor time.Duration  // how long the source's ends have to stay where they are
	Tail      time.Duration  // how far back records are compared on both sides; 0: not at all
	Force     bool           // go on where a promise does not hold, and note what is given up
	Log       *slog.Logger
	Tell      func(step, missing string) // hears what is waited for; not nil
}

// handoverEvery is how often the clusters are looked at.
const handoverEvery = 250 * time.Millisecond

// handover moves the applications of one flow from its source to its target. It
// belongs to one goroutine.
type handover struct {
	o       HandoverOptions
	look    *Inspection
	record  cutover.Record // as it will be written
	written string         // what was noted of the positions; "": nothing yet

	ends   watermarks.Marks // of the source, when they were last seen to move
	still  time.Time        // since when they have not
	status *FlowStatus
	given  map[string]bool // what --force gives up
	equal  string          // the ends up to which the tail was compared
}

// openHandover makes sure that both clusters answer.
func openHandover(ctx context.Context, o HandoverOptions) (*handover, error) {
	look, err := Inspect(ctx, o.Clusters, o.Flow, o.Log)
	if err != nil {
		return nil, err
	}
	return &handover{o: o, look: look, given: map[string]bool{}}, nil
}

// steps are what a cutover consists of, in their order.
func (h *handover) steps() []cutover.Step {
	from, to := h.o.Flow.From, h.o.Flow.To
	steps := []cutover.Step{{
		Name: "silent", Check: h.silent,
		Do:   fmt.Sprintf("nobody writes to the topics on %s for %s", from, h.o.SilentFor),
		Undo: fmt.Sprintf("start the producers on %s again", from),
	}, {
		Name: "idle", Check: h.idle,
		Do:   fmt.Sprintf("the groups have no members on %s", from),
		Undo: fmt.Sprintf("start the consumers on %s again", from),
	}, {
		Name: "copied", Check: h.copied, Act: h.copyRest,
		Do:   fmt.Sprintf("everything on %s is on %s: lag 0", from, to),
		Undo: "nothing to undo: the copy does no harm",
	}, {
		Name: "groups", Check: h.positioned, Act: h.copyRest,
		Do:   fmt.Sprintf("the groups stand on %s exactly where they stand on %s", to, from),
		Undo: "nothing to undo: the positions follow again",
	}}
	if h.o.Tail > 0 {
		steps = append(steps, cutover.Step{
			Name: "verified", Check: h.verified, Act: h.verify,
			Do:   fmt.Sprintf("the records of the last %s are equal on both sides", h.o.Tail),
			Undo: "nothing to undo: it only reads",
		})
	}
	return append(steps, cutover.Step{
		Name: "recorded", Check: h.recorded, Act: h.write,
		Do:   fmt.Sprintf("the ledger on %s notes where everything stood", to),
		Undo: fmt.Sprintf("nothing to undo while no application writes to %s; 'replicator rollback' afterwards", to),
	})
}

// silent waits until the source's ends have not moved for a while.
func (h *handover) silent(ctx context.Context) (string, error) {
	names, err := h.selected(ctx)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", &kafka.Problem{What: "the flow selects no topic of cluster " + h.o.Flow.From,
			Fix: "see 'replicator check --connect' for the reason of each topic"}
	}
	asked := time.Now()
	ends, err := h.look.sourceMarks.Ends(ctx, names)
	if err != nil {
		return "", err
	}
	var moved []chunk.Partition
	for p, mark := range ends {
		if before, known := h.ends[p]; !known || before.Offset != mark.Offset || mark.Err != nil {
			moved = append(moved, p)
		}
	}
	first := h.ends == nil
	if len(moved) > 0 || len(ends) != len(h.ends) {
		h.ends, h.still = ends, asked
	}
	switch {
	case first:
		return fmt.Sprintf("watching the ends of %d partitions", len(ends)), nil
	case len(moved) > 0:
		return "records arrive: " + h.writers(ctx, moved), nil
	case asked.Sub(h.still) < h.o.SilentFor:
		return fmt.Sprintf("no records arrive; watching for %s", h.o.SilentFor), nil
	}
	return "", nil
}

// selected lists the flow's topics on the source.
func (h *handover) selected(ctx context.Context) ([]string, error) {
	seen, err := describe(ctx, h.look.source, h.look.sourceCluster, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, topic := range seen.topics {
		if _, verdict := h.look.policy.Topic(name); verdict.Selected && topic.err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// writers names topics, and the producers of which their brokers tell (KIP-664).
func (h *handover) writers(ctx context.Context, moved []chunk.Partition) string {
	active := map[string]map[int64]bool{}
	for _, p := range moved {
		active[p.Topic] = map[int64]bool{}
	}
	recently := time.Now().Add(-2 * max(h.o.SilentFor, time.Second))
	// Topics are named in any case: a broker that does not tell its producers is no reason to stop.
	seen, _ := survey.Of(h.look.sourceCluster, h.look.source).Producers(ctx, moved)
	for _, p := range seen {
		if !p.Last.Before(recently) {
			active[p.Partition.Topic][p.ID] = true
		}
	}
	var list []string
	for _, topic := range slices.Sorted(maps.Keys(active)) {
		text := topic
		if ids := slices.Sorted(maps.Keys(active[topic])); len(ids) > 0 {
			text += " (producer ids " + strings.Trim(fmt.Sprint(ids), "[]") + ")"
		}
		list = append(list, text)
	}
	return shorten(list)
}

// shorten lists the first few.
func shorten(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	return strings.Join(list, ", ")
}

// idle waits until no group has members on the source.
func (h *handover) idle(ctx context.Context) (string, error) {
	held, _, err := h.look.lookAtGroups(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for _, g := range held {
		if h.moves(g.Group) {
			names = append(names, g.Group)
		}
	}
	seen, err := h.look.groups.OnSource(ctx, names)
	if err != nil {
		return "", err
	}
	var busy []string
	for _, name := range names {
		if n := seen[name].Members; n > 0 {
			busy = append(busy, fmt.Sprintf("%s (%d members)", name, n))
		}
	}
	if len(busy) > 0 {
		return "consumers are at work: " + shorten(busy), nil
	}
	return "", nil
}

// moves says whether a group is one of those that move.
func (h *handover) moves(group string) bool {
	return h.o.Groups == nil || h.o.Groups.MatchString(group)
}

// copied waits until nothing is left to copy.
func (h *handover) copied(ctx context.Context) (string, error) {
	var err error
	if h.status, err = h.look.Status(ctx); err != nil {
		return "", err
	}
	if list := h.status.Problems; len(list) > 0 {
		return "", &kafka.Problem{What: list[0].Error, Fix: list[0].Remedy}
	}
	var behind []string
	for i := range h.status.Partitions {
		p := &h.status.Partitions[i]
		name := fmt.Sprintf("%s/%d", p.Topic, p.Partition)
		switch {
		case p.Phase == Stopped:
			what := fmt.Sprintf("%s is stopped (%s): %d records are not on the target", name, p.Reason, p.Behind)
			if err := h.giveUp(what, p.Remedy); err != nil {
				return "", err
			}
		case p.SourceOpen > 0:
			behind = append(behind, fmt.Sprintf("%s has an open transaction", name))
		case p.Phase != Copying || p.Behind > 0:
			behind = append(behind, fmt.Sprintf("%s %s, lag %d", name, p.Phase, p.Behind))
		}
	}
	if len(behind) > 0 {
		return shorten(behind), nil
	}
	return "", nil
}

// giveUp is an error, unless what does not hold may be given up.
func (h *handover) giveUp(what, remedy string) error {
	if h.o.Force {
		h.given[what] = true
		return nil
	}
	return &kafka.Problem{What: what, Fix: remedy + "; or --force to give that up"}
}

// copyRest copies what is left where no daemon does.
func (h *handover) copyRest(ctx context.Context) error {
	if h.status == nil || h.status.Replicas == nil || *h.status.Replicas > 0 {
		return nil
	}
	err := New(Options{
		Clusters: h.o.Clusters, Flows: []Config{h.o.Flow}, UntilCaughtUp: true, Registry: prometheus.NewRegistry(),
		Log: h.o.Log,
	}).Run(ctx)
	var unfinished *UnfinishedError
	if errors.As(err, &unfinished) { // the next look tells what is missing
		return nil
	}
	return err
}

// positioned waits until the groups stand right on the target.
func (h *handover) positioned(context.Context) (string, error) {
	var open []string
	for i := range h.status.Groups {
		g := &h.status.Groups[i]
		if !h.moves(g.Group) {
			continue
		}
		if g.Error != "" {
			if err := h.giveUp(fmt.Sprintf("group %s: %s", g.Group, g.Error), g.Remedy); err != nil {
				return "", err
			}
		}
		for j := range g.Positions {
			p := &g.Positions[j]
			name := fmt.Sprintf("group %s in %s/%d", g.Group, p.Topic, p.Partition)
			switch kind := groups.Kind(p.State); {
			case kind == groups.Right:
			case p.State == pending || !kind.Settled():
				open = append(open, fmt.Sprintf("%s: %s", name, p.Why))
			default:
				if err := h.giveUp(name+": "+p.Why+wouldBe(p), "see 'replicator status' and set the position right"); err != nil {
					return "", err
				}
			}
		}
	}
	if len(open) > 0 {
		return shorten(open), nil
	}
	return "", nil
}

// wouldBe says what a wrong position means in records.
func wouldBe(p *PositionStatus) string {
	if p.Target == nil || p.Translation == nil {
		return ""
	}
	switch off := int64(*p.Translation) - int64(*p.Target); {
	case off > 0:
		return fmt.Sprintf("; it stands at %d and ought to at %d: up to %d records would be read again", *p.Target,
			*p.Translation, off)
	case off < 0:
		return fmt.Sprintf("; it stands at %d and ought to at %d: up to %d records would be skipped", *p.Target,
			*p.Translation, -off)
	}
	return ""
}

// tailID names the ends that a comparison of the tail was about.
func (h *handover) tailID() string {
	var b strings.Builder
	for _, p := range h.status.Partitions {
		fmt.Fprintf(&b, "%s/%d:%d ", p.Topic, p.Partition, p.SourceEnd)
	}
	return b.String()
}

func (h *handover) verified(context.Context) (string, error) {
	if h.equal != h.tailID() {
		return "the last records are being compared", nil
	}
	return "", nil
}

// positions is what the record says of groups and topics, as one text to compare.
func (h *handover) positions() string {
	var b strings.Builder
	b.WriteString(h.tailID())
	for _, g := range h.status.Groups {
		for _, p := range g.Positions {
			fmt.Fprintf(&b, "%s %s/%d:%d>%d ", g.Group, p.Topic, p.Partition, p.Source, orMissing(p.Target))
		}
	}
	return b.String()
}

func (h *handover) recorded(context.Context) (string, error) {
	if h.written != h.positions() {
		return "the record is to be written", nil
	}
	return "", nil
}

// write notes in the ledger where everything stands.
func (h *handover) write(ctx context.Context) error {
	var notes []ledger.Record
	ends := map[string]*cutover.Topic{}
	h.record.Partitions, h.record.Groups = len(h.status.Partitions), 0
	for _, p := range h.status.Partitions { // by topic and number
		t := ends[p.Topic]
		if t == nil {
			t = &cutover.Topic{ID: h.record.ID, Topic: p.Topic, Target: p.TargetTopic}
			ends[p.Topic] = t
		}
		t.SourceEnds = append(t.SourceEnds, int64(p.SourceEnd))
		t.TargetEnds = append(t.TargetEnds, orMissing(p.TargetEnd))
	}
	for name, t := range ends {
		notes = append(notes, ledger.NoteRecord(cutover.TopicName(name), cutover.Encode(t)))
	}
	for _, g := range h.status.Groups {
		if !h.moves(g.Group) {
			continue
		}
		one := cutover.Group{ID: h.record.ID, Group: g.Group, Target: g.Target}
		for _, p := range g.Positions {
			one.Positions = append(one.Positions, cutover.Position{
				Topic: p.Topic, Partition: p.Partition, Source: int64(p.Source), Target: orMissing(p.Target)})
		}
		h.record.Groups++
		notes = append(notes, ledger.NoteRecord(cutover.GroupName(g.Group), cutover.Encode(one)))
	}
	h.record.State, h.record.Ended = cutover.Done, time.Now().UTC().Truncate(time.Millisecond)
	h.record.GivenUp = slices.Sorted(maps.Keys(h.given))
	// The record comes last: where it is, the rest is.
	if err := h.note(ctx, notes...); err != nil {
		return err
	}
	if err := h.note(ctx, ledger.NoteRecord(cutover.RecordName, cutover.Encode(h.record))); err != nil {
		return err
	}
	h.written = h.positions()
	return nil
}

func (h *handover) note(ctx context.Context, notes ...ledger.Record) error {
	return ledger.WriteNotes(ctx, h.look.targetCluster, h.o.Flow.LedgerTopic(), 0, notes)
}

func orMissing[T ~int64](at *T) int64 {
	if at == nil {
		return -1
	}
	return int64(*at)
}

// begin notes that a cutover is under way; one that was begun before goes on.
func (h *handover) begin(ctx context.Context, found cutover.Record, takesBack string) error {
	if found.State == cutover.Begun && found.TakesBack == takesBack {
		h.record = found
		return nil
	}
	h.record = cutover.Record{
		Version: cutover.Version, ID: newCutoverID(), Flow: h.o.Flow.Name(), State: cutover.Begun,
		Begun: time.Now().UTC().Truncate(time.Millisecond), TakesBack: takesBack,
	}
	return h.note(ctx, ledger.NoteRecord(cutover.RecordName, cutover.Encode(h.record)))
}

// newCutoverID begins with the time, for people, and is never given twice.
func newCutoverID() string {
	return time.Now().UTC().Format("20060102T150405Z-") + strings.ToLower(rand.Text()[:8])
}

// verify compares the last records of both sides.
func (h *handover) verify(ctx context.Context) error {
	ends := h.tailID()
	v, err := h.look.Verify(ctx, VerifyOptions{Since: time.Now().Add(-h.o.Tail), OwnOnly: true})
	if err != nil {
		return err
	}
	for _, p := range v.Partitions {
		if p.Error != "" {
			what := fmt.Sprintf("%s/%d cannot be compared: %s", p.Topic, p.Partition, p.Error)
			if err := h.giveUp(what, p.Remedy); err != nil {
				return err
			}
		}
	}
	if n := v.Differences() - v.Foreign; n > 0 {
		err := h.giveUp(fmt.Sprintf("the last records differ: %d missing, %d changed, %d extra, %d out of order", v.Missing,
			v.Changed, v.Extra, v.OutOfOrder), "see 'replicator verify' for each of them")
		if err != nil {
			return err
		}
	}
	h.equal = ends
	return nil
}
