package cutover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/operate/verify"
	"replicator/pkg/replicate"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/survey"
)

// Options say which applications move, and what has to hold before they may.
type Options struct {
	Clusters  map[string]kafka.Config // the flow's two at least
	Flow      settings.Config
	Groups    *regexp.Regexp // whole names on the source; nil: all that the flow selects
	SilentFor time.Duration  // how long the source's ends have to stay where they are
	Tail      time.Duration  // how far back records are compared on both sides; 0: not at all
	Force     bool           // go on where a promise does not hold, and note what is given up
	Patience  time.Duration  // with Force: how long a step is waited for before it is given up; 0: without end
	Log       *slog.Logger
	Tell      func(step, missing string) // hears what is waited for; not nil
}

// handoverEvery is how often the clusters are looked at.
const handoverEvery = 250 * time.Millisecond

// mover moves the applications of one flow from its source to its target. It
// belongs to one goroutine.
type mover struct {
	o       Options
	viewer  *snapshot.Viewer
	record  handover.Record // as it will be written
	written string          // what was noted of the positions; "": nothing yet

	begun  listoffsets.Offsets // the source's ends at the first look
	began  time.Time           // when that was
	ends   listoffsets.Offsets // of the source, when they were last seen to move
	still  time.Time           // since when they have not
	status *inspect.FlowStatus
	equal  string  // the ends up to which the tail was compared; "": it was not
	differ []unmet // what that has found

	back       bool                     // from a flow's target to its source
	copier     *replicate.Engine        // that copies in this process meanwhile; nil: none does
	copiedRest bool                     // this command has copied what was left
	preview    bool                     // nothing is brought about
	waits      map[string]time.Time     // since when a step is waited for
	given      map[string][]string      // what --force gives up, by step
	late       map[string]bool          // steps that were waited for in vain
	left       map[chunk.Partition]bool // partitions that are given up
	leftOut    []inspect.LeftOut        // groups that cannot be moved, at the last look

	// Of a stage of a cutover: groups that were moved before, and where topics ended then.
	part  map[string]bool
	ends0 map[string]handover.Topic
}

// openMover makes sure that both clusters answer.
func openMover(ctx context.Context, o Options) (*mover, error) {
	viewer, err := snapshot.Open(ctx, o.Clusters, o.Flow, o.Log)
	if err != nil {
		return nil, err
	}
	return &mover{o: o, viewer: viewer, waits: map[string]time.Time{}, given: map[string][]string{},
		late: map[string]bool{}, left: map[chunk.Partition]bool{}}, nil
}

// steps are what a cutover consists of, in their order.
func (h *mover) steps() []stepwise.Step {
	from, to := h.o.Flow.From, h.o.Flow.To
	steps := []stepwise.Step{{
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
		steps = append(steps, stepwise.Step{
			Name: "verified", Check: h.verified, Act: h.verify,
			Do:   fmt.Sprintf("the records of the last %s are equal on both sides", h.o.Tail),
			Undo: "nothing to undo: it only reads",
		})
	}
	// Announcements come last: what is written on the target before is ours, and verified as such.
	return append(steps, stepwise.Step{
		Name: "recorded", Check: h.recorded, Act: h.write,
		Do:   fmt.Sprintf("the ledger on %s notes where everything stood", to),
		Undo: fmt.Sprintf("nothing to undo while no application writes to %s; 'replicator rollback' afterwards", to),
	}, stepwise.Step{
		Name: "versions", Check: h.versionsNamed, Act: h.nameVersions,
		Do:   fmt.Sprintf("announced versions of topics name their offsets on %s", to),
		Undo: "nothing to undo: they name those of both clusters",
	})
}

// silent waits until the source's ends have not moved for a while.
func (h *mover) silent(ctx context.Context) (string, error) {
	names, err := h.selected(ctx)
	if err != nil {
		return "", err
	}
	if len(names) == 0 {
		return "", &kafka.Problem{What: "the flow selects no topic of cluster " + h.o.Flow.From,
			Fix: "see 'replicator check --connect' for the reason of each topic"}
	}
	asked := time.Now()
	ends, err := h.viewer.SourceOffsets.Ends(ctx, names)
	if err != nil {
		return "", err
	}
	var moved []chunk.Partition
	for p, mark := range ends {
		if before, known := h.ends[p]; !known || before.Offset != mark.Offset || mark.Err != nil {
			moved = append(moved, p)
		}
	}
	if h.begun == nil {
		h.begun, h.began, h.ends, h.still = ends, asked, ends, asked
		return fmt.Sprintf("watching the ends of %d partitions", len(ends)), nil
	}
	if len(moved) > 0 || len(ends) != len(h.ends) {
		h.ends, h.still = ends, asked
	}
	var lacks []unmet
	switch {
	case len(moved) > 0:
		lacks = []unmet{{waits: "records arrive: " + h.writers(ctx, moved), gives: h.arrived()}}
	case asked.Sub(h.still) < h.o.SilentFor:
		lacks = []unmet{{waits: fmt.Sprintf("no records arrive; watching for %s", h.o.SilentFor), gives: h.arrived()}}
	}
	return h.without("silent", lacks)
}

// selected lists the flow's topics on the source.
func (h *mover) selected(ctx context.Context) ([]string, error) {
	seen, err := kafka.Describe(ctx, h.viewer.SourceClient, h.viewer.SourceCluster, nil)
	if err != nil {
		return nil, err
	}
	var names []string
	for name, topic := range seen.Topics {
		if _, verdict := h.viewer.Policy.Topic(name); verdict.Selected && topic.Err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// writers names topics, and the producers of which their brokers tell (KIP-664).
func (h *mover) writers(ctx context.Context, moved []chunk.Partition) string {
	active := map[string]map[int64]bool{}
	for _, p := range moved {
		active[p.Topic] = map[int64]bool{}
	}
	recently := time.Now().Add(-2 * max(h.o.SilentFor, time.Second))
	// Topics are named in any case: a broker that does not tell its producers is no reason to stop.
	seen, _ := survey.Of(h.viewer.SourceCluster, h.viewer.SourceClient).Producers(ctx, moved)
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
	return kafka.Few(list)
}

// idle waits until no group has members on the source.
func (h *mover) idle(ctx context.Context) (string, error) {
	held, _, err := h.viewer.ReadGroups(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for _, g := range held {
		if h.moves(g.Group) {
			names = append(names, g.Group)
		}
	}
	listed, _ := h.viewer.Groups.Names(ctx) // where they cannot be listed, their positions could not be read either
	h.leftOut = slices.DeleteFunc(inspect.LeftOutGroups(h.viewer, listed, held),
		func(l inspect.LeftOut) bool { return !h.moves(l.Name) })
	for _, l := range h.leftOut {
		names = append(names, l.Name)
	}
	seen, err := h.viewer.Groups.OnSource(ctx, names)
	if err != nil {
		return "", err
	}
	var lacks []unmet
	for i := range held {
		if n := seen[held[i].Group].Members; n > 0 && h.moves(held[i].Group) {
			lacks = append(lacks, unmet{waits: fmt.Sprintf("%s (%d members)", held[i].Group, n), gives: h.readsOn(&held[i], n)})
		}
	}
	for _, l := range h.leftOut {
		if n := seen[l.Name].Members; n > 0 && l.Why == inspect.NoPosition {
			lacks = append(lacks, unmet{waits: fmt.Sprintf("%s (%d members, without a position)", l.Name, n),
				gives: h.readsAnywhere(l.Name, n)})
		}
	}
	missing, err := h.without("idle", lacks)
	if missing != "" {
		missing = "consumers are at work: " + missing
	}
	return missing, err
}

// moves says whether a group is one of those that move.
func (h *mover) moves(group string) bool {
	return (h.o.Groups == nil || h.o.Groups.MatchString(group)) && !h.part[group]
}

// copied waits until nothing is left to copy.
func (h *mover) copied(ctx context.Context) (string, error) {
	var err error
	if h.status, err = inspect.Status(ctx, h.viewer); err != nil {
		return "", err
	}
	var lacks []unmet
	for _, p := range h.status.Problems {
		lacks = append(lacks, unmet{gives: p.Error, remedy: cmp.Or(p.Remedy, seeStatus)})
	}
	partitions := map[chunk.Partition]bool{}
	for i := range h.status.Partitions {
		if p := &h.status.Partitions[i]; !p.Phase.Free() || p.Behind+p.SourceOpen > 0 {
			lacks = append(lacks, h.notCopied(p))
			partitions[chunk.Partition{Topic: p.Topic, Number: p.Partition}] = true
		}
	}
	h.nameGivenUp()
	missing, err := h.without("copied", lacks)
	if missing == "" {
		h.left = partitions
	}
	return missing, err
}

// copyRest copies what is left where no daemon does.
func (h *mover) copyRest(ctx context.Context) error {
	if h.status == nil || h.status.Replicas == nil || *h.status.Replicas > 0 {
		return nil
	}
	h.copiedRest = true
	limited := ctx
	if h.o.Force && h.o.Patience > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, h.o.Patience)
		defer cancel()
	}
	err := replicate.New(replicate.Options{
		Clusters: h.o.Clusters, Flows: []settings.Config{h.o.Flow}, UntilCaughtUp: true, Registry: prometheus.NewRegistry(),
		Onlook: inspect.Onlook(h.o.Clusters, h.o.Log), Log: h.o.Log, StableOnly: true,
		// the step waits for the rest, and says so
	}).Run(limited)
	var unfinished *replicate.UnfinishedError
	if errors.As(err, &unfinished) || limited.Err() != nil { // the next look tells what is missing
		return nil
	}
	return err
}

// copiedUnknown is what is missing of all steps that go by what the one before has seen.
const copiedUnknown = "not known yet: step copied has not been answered"

// positioned waits until the groups stand right on the target.
func (h *mover) positioned(context.Context) (string, error) {
	if h.status == nil {
		return copiedUnknown, nil
	}
	var lacks []unmet
	for i := range h.status.Groups {
		g := &h.status.Groups[i]
		if !h.moves(g.Group) {
			continue
		}
		if g.Error != "" {
			lacks = append(lacks, h.unreadable(g))
		}
		for j := range g.Positions {
			// On the way back a group that was not used on the target stands where its consumers have left it.
			if h.back && g.Positions[j].Unused && g.Positions[j].Target != nil {
				continue
			}
			if l, lacking := h.notRight(g, &g.Positions[j]); lacking {
				lacks = append(lacks, l)
			}
		}
	}
	return h.without("groups", lacks)
}

// tailID names the ends that a comparison of the tail was about.
func (h *mover) tailID() string {
	var b strings.Builder
	for _, p := range h.status.Partitions {
		fmt.Fprintf(&b, "%s/%d:%d ", p.Topic, p.Partition, p.SourceEnd)
	}
	return b.String()
}

// verified says whether the last records were compared, up to the ends as they are now;
// up to where they were then, if something is given up that may move them.
func (h *mover) verified(context.Context) (string, error) {
	if h.status == nil {
		return copiedUnknown, nil
	}
	if h.equal != h.tailID() && (h.equal == "" || len(h.late) == 0) {
		return "the last records are being compared", nil
	}
	return h.without("verified", h.differ)
}

// verify compares the last records of both sides.
func (h *mover) verify(ctx context.Context) error {
	ends := h.tailID()
	v, err := verify.Flow(ctx, h.viewer, verify.Options{Since: time.Now().Add(-h.o.Tail), OwnOnly: true})
	if err != nil {
		return err
	}
	h.equal, h.differ = ends, nil
	for i := range v.Partitions {
		if l, lacking := h.notEqual(&v.Partitions[i]); lacking {
			h.differ = append(h.differ, l)
		}
	}
	return nil
}
