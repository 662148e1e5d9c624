package cutover

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"time"

	"replicator/pkg/operate/inspect"
	"replicator/pkg/operate/snapshot"
	"replicator/pkg/operate/stepwise"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/partition"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/wait"
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
	Report    func(step, missing string) // hears what is waited for; not nil
}

// reportStep passes on what is waited for.
func (o *Options) reportStep(step stepwise.Step, missing string) { o.Report(step.Name, missing) }

// checkEvery is how often the clusters are asked whether a step is done.
const checkEvery = 250 * time.Millisecond

// mover moves the applications of one flow from its source to its target: it has the steps, in their order, and asks
// its collaborators what each of them lacks. It belongs to one goroutine.
type mover struct {
	o        Options
	viewer   *snapshot.Viewer
	moves    selection
	source   sourceWatch
	seen     standing
	copying  copying
	tail     tailCheck
	recorder recorder
	waivers  waivers
	leftOut  []inspect.LeftOut // groups that cannot be moved, as the last check has it
}

// selection is which groups move now.
type selection struct {
	asked  *regexp.Regexp  // nil: all
	before map[string]bool // those that an earlier stage of the cutover has moved
}

// has says whether a group is one of those that move.
func (s *selection) has(group string) bool {
	return (s.asked == nil || s.asked.MatchString(group)) && !s.before[group]
}

// openMover makes sure that both clusters answer. back says that records go from a flow's target to its source.
func openMover(ctx context.Context, o Options, back bool) (*mover, error) {
	viewer, err := snapshot.Open(ctx, o.Clusters, o.Flow, o.Log)
	if err != nil {
		return nil, err
	}
	m := &mover{
		o: o, viewer: viewer, moves: selection{asked: o.Groups}, waivers: newWaivers(&o),
		source: sourceWatch{viewer: viewer, back: back}, seen: standing{target: o.Flow.To},
		tail: tailCheck{viewer: viewer, tail: o.Tail}, recorder: recorder{viewer: viewer},
	}
	m.copying.o = &m.o
	m.source.flows, err = provenance.OpenSourceWriters(&viewer.Flow, viewer.SourceCluster, viewer.TargetCluster)
	if err != nil {
		viewer.Close()
		return nil, err
	}
	return m, nil
}

// close ends the connections.
func (m *mover) close() {
	if m.source.flows != nil {
		m.source.flows.Close()
	}
	m.viewer.Close()
}

// steps are what a cutover consists of, in their order.
func (m *mover) steps() []stepwise.Step {
	from, to := m.o.Flow.From, m.o.Flow.To
	copyRest := func(ctx context.Context) error {
		if !m.seen.known() {
			return nil
		}
		return m.copying.rest(ctx, m.seen.Replicas)
	}
	steps := []stepwise.Step{{
		Name: "silent", Check: m.silent,
		Do:   fmt.Sprintf("nobody writes to the topics on %s for %s", from, m.o.SilentFor),
		Undo: fmt.Sprintf("start the producers on %s again", from),
	}, {
		Name: "idle", Check: m.idle,
		Do:   fmt.Sprintf("the groups have no members on %s", from),
		Undo: fmt.Sprintf("start the consumers on %s again", from),
	}, {
		Name: "copied", Check: m.copied, Act: copyRest,
		Do:   fmt.Sprintf("everything on %s is on %s: lag 0", from, to),
		Undo: "nothing to undo: the copy does no harm",
	}, {
		Name: "groups", Check: m.positioned, Act: copyRest,
		Do:   fmt.Sprintf("the groups stand on %s exactly where they stand on %s", to, from),
		Undo: "nothing to undo: the positions follow again",
	}}
	if m.o.Tail > 0 {
		steps = append(steps, stepwise.Step{
			Name: "verified", Check: m.verified,
			Act:  func(ctx context.Context) error { return m.tail.run(ctx, &m.seen) },
			Do:   fmt.Sprintf("the records of the last %s are equal on both sides", m.o.Tail),
			Undo: "nothing to undo: it only reads",
		})
	}
	// Announcements come last: what is written on the target before is ours, and verified as such.
	return append(steps, stepwise.Step{
		Name: "recorded", Check: m.recorded, Act: m.write,
		Do:   fmt.Sprintf("the ledger on %s notes where everything stood", to),
		Undo: fmt.Sprintf("nothing to undo while no application writes to %s; %s afterwards", to, m.wayBack()),
	}, stepwise.Step{
		Name:  "versions",
		Check: func(ctx context.Context) (string, error) { return versionsNamed(ctx, m.viewer) },
		Act:   func(ctx context.Context) error { return nameVersions(ctx, m.viewer) },
		Do:    fmt.Sprintf("announced versions of topics name their offsets on %s", to),
		Undo:  "nothing to undo: they name those of both clusters",
	})
}

// wayBack is the command that takes applications back.
func (m *mover) wayBack() string {
	if provenance.AskedOppositeLedger(&m.o.Flow) == "" {
		return "'replicator rollback'"
	}
	return fmt.Sprintf("'replicator cutover --flow \"%s->%s\"'", m.o.Flow.To, m.o.Flow.From)
}

// watch checks steps, and brings nothing about; the first one needs two checks with time between them.
func (m *mover) watch(ctx context.Context, steps []stepwise.Step) ([]stepwise.State, error) {
	m.waivers.preview = true
	defer func() { m.waivers.preview = false }()
	begun := stepwise.Check(ctx, steps[:1])
	if wait.Pause(ctx, m.o.SilentFor) != nil {
		states := append(begun, stepwise.Check(ctx, steps[1:])...)
		return states, stepwise.InTime(ctx, states)
	}
	states := stepwise.Check(ctx, steps)
	for i := range states {
		if waived := m.waivers.waived[states[i].Name]; states[i].Done && len(waived) > 0 {
			states[i].Done, states[i].Missing = false, "--force gives up: "+kafka.Few(waived)
		}
	}
	return states, stepwise.InTime(ctx, states)
}

// silent waits until the source's ends have not moved for a while.
func (m *mover) silent(ctx context.Context) (string, error) {
	moved, begun, err := m.source.take(ctx)
	if err != nil {
		return "", err
	}
	if !begun {
		return fmt.Sprintf("watching the ends of %d partitions", len(m.source.ends)), nil
	}
	var list []unmet
	switch {
	case len(moved) > 0:
		by := m.source.writers(ctx, moved, 2*max(m.o.SilentFor, time.Second))
		list = []unmet{{waits: "records arrive: " + by, costs: m.source.arrived()}}
	case m.source.stillFor() < m.o.SilentFor:
		list = []unmet{{waits: fmt.Sprintf("no records arrive; watching for %s", m.o.SilentFor), costs: m.source.arrived()}}
	}
	return m.waivers.decide("silent", list)
}

// idle waits until no group has members on the source.
func (m *mover) idle(ctx context.Context) (string, error) {
	held, _, err := m.viewer.ReadGroups(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for _, g := range held {
		if m.moves.has(g.Group) {
			names = append(names, g.Group)
		}
	}
	listed, _ := m.viewer.Groups.Names(ctx) // where they cannot be listed, their positions could not be read either
	m.leftOut = slices.DeleteFunc(inspect.LeftOutGroups(m.viewer, listed, held),
		func(l inspect.LeftOut) bool { return !m.moves.has(l.Name) })
	for _, l := range m.leftOut {
		names = append(names, l.Name)
	}
	seen, err := m.viewer.Groups.OnSource(ctx, names)
	if err != nil {
		return "", err
	}
	var list []unmet
	for i := range held {
		if n := seen[held[i].Group].Members; n > 0 && m.moves.has(held[i].Group) {
			list = append(list, unmet{waits: fmt.Sprintf("%s (%d members)", held[i].Group, n),
				costs: m.source.readsOn(&held[i], n)})
		}
	}
	for _, l := range m.leftOut {
		if n := seen[l.Name].Members; n > 0 && l.Why == inspect.NoPosition {
			list = append(list, unmet{waits: fmt.Sprintf("%s (%d members, without a position)", l.Name, n),
				costs: m.source.readsAnywhere(l.Name, n)})
		}
	}
	missing, err := m.waivers.decide("idle", list)
	if missing != "" {
		missing = "consumers are at work: " + missing
	}
	return missing, err
}

// copied waits until nothing is left to copy.
func (m *mover) copied(ctx context.Context) (string, error) {
	var err error
	if m.seen.FlowStatus, err = inspect.Status(ctx, m.viewer); err != nil {
		return "", err
	}
	var list []unmet
	for _, p := range m.seen.Problems {
		list = append(list, unmet{costs: p.Error, remedy: cmp.Or(p.Remedy, seeStatus)})
	}
	partitions := map[chunk.Partition]bool{}
	for i := range m.seen.Partitions {
		if p := &m.seen.Partitions[i]; !p.Phase.Free() || p.Behind+p.SourceOpen > 0 {
			list = append(list, m.notCopied(p))
			partitions[chunk.Partition{Topic: p.Topic, Number: p.Partition}] = true
		}
	}
	m.waivers.resumed("copied", m.seen.givenUp())
	missing, err := m.waivers.decide("copied", list)
	if missing == "" {
		m.seen.uncopied = partitions
	}
	return missing, err
}

// notCopied is a partition of which not everything is on the target.
func (m *mover) notCopied(p *inspect.PartitionStatus) unmet {
	name := fmt.Sprintf("%s/%d", p.Topic, p.Partition)
	rest := fmt.Sprintf("up to %d records are not on %s", p.Behind+p.SourceOpen, m.o.Flow.To)
	stopped, preview := p.Phase == partition.PhaseStopped, m.waivers.preview
	switch {
	case stopped && !p.Cuts.Open() && !m.copying.fresh(p, m.seen.Replicas) && !preview: // else it is what is known now
		what := fmt.Sprintf("%s was stopped (%s)", name, p.Reason)
		return unmet{waits: what, costs: what + ": " + rest}
	case stopped && p.Cuts.Open() && p.Cuts.Seen == nil && !preview: // whoever copies notes it in seconds
		what := fmt.Sprintf("%s is stopped (%s), which is looked into", name, p.Reason)
		return unmet{waits: what, costs: what + ": " + rest}
	case stopped && p.Cuts.Waits():
		return unmet{waits: name + " waits for the order of 'replicator resume' to be carried out", costs: name + ": " + rest}
	case stopped:
		return unmet{costs: fmt.Sprintf("%s is stopped (%s): %s", name, p.Reason, rest), remedy: cmp.Or(p.Remedy, seeStatus)}
	case p.SourceOpen > 0:
		what := name + " has an open transaction"
		return unmet{waits: what, costs: what + ": " + rest}
	}
	phase := string(p.Phase)
	if p.Reason != "" {
		phase += " (" + p.Reason + ")"
	}
	return unmet{waits: fmt.Sprintf("%s %s, lag %d", name, phase, p.Behind), costs: name + ": " + rest}
}

// positioned waits until the groups stand right on the target.
func (m *mover) positioned(context.Context) (string, error) {
	if !m.seen.known() {
		return copiedUnknown, nil
	}
	var list []unmet
	for i := range m.seen.Groups {
		g := &m.seen.Groups[i]
		if !m.moves.has(g.Group) {
			continue
		}
		if g.Error != "" {
			list = append(list, m.seen.unreadable(g))
		}
		for j := range g.Positions {
			// On the way back a group that was not used on the target stands where its consumers have left it.
			if m.source.back && g.Positions[j].Unused && g.Positions[j].Target != nil {
				continue
			}
			if u, astray := m.seen.astray(g, &g.Positions[j], m.waivers.preview); astray {
				list = append(list, u)
			}
		}
	}
	return m.waivers.decide("groups", list)
}

// verified says whether the last records were compared, up to the ends as they are now;
// up to where they were then, if something is given up that may move them.
func (m *mover) verified(context.Context) (string, error) {
	if !m.seen.known() {
		return copiedUnknown, nil
	}
	if m.tail.ends != m.seen.ends() && (m.tail.ends == "" || len(m.waivers.inVain) == 0) {
		return "the last records are being compared", nil
	}
	return m.waivers.decide("verified", m.tail.differ)
}

// noted is what the record is to be about, as one text to compare.
func (m *mover) noted() string {
	if len(m.waivers.inVain) == 0 {
		return m.seen.positions() + strings.Join(m.waivers.all(), " ")
	}
	return "given up: " + strings.Join(m.waivers.steps(), " ")
}

// recorded says whether the record is about how everything stands now; while something
// is given up that may move, about how it stood when the same was given up.
func (m *mover) recorded(context.Context) (string, error) {
	if !m.seen.known() {
		return copiedUnknown, nil
	}
	if m.recorder.written != m.noted() {
		return "the record is to be written", nil
	}
	return "", nil
}

// write notes in the ledger where everything stands.
func (m *mover) write(ctx context.Context) error {
	err := m.recorder.endOpposite(ctx, &m.seen)
	if err == nil {
		err = m.recorder.write(ctx, &m.seen, &m.moves, m.waivers.all())
	}
	if err == nil {
		m.recorder.written = m.noted()
	}
	return err
}

// begin notes that a cutover is under way, and what it gives up from the start.
func (m *mover) begin(ctx context.Context, found handover.Record, takesBack string, givenUp []string) (err error) {
	m.waivers.waived[atBegin], err = m.recorder.begin(ctx, found, takesBack, givenUp)
	return err
}

// goOn is what the steps need to know of the cutover of which they are a further stage; rest are the groups that it
// has not moved.
func (m *mover) goOn(found handover.Record, held []handover.Group, ends map[string]handover.Topic, rest []string) {
	m.recorder.record, m.recorder.before = found, ends
	m.waivers.waived[atBegin] = found.GivenUp // of which some cannot be seen any more
	m.moves.before = map[string]bool{}
	for i := range held {
		if !slices.Contains(rest, held[i].Group) {
			m.moves.before[held[i].Group] = true
		}
	}
}
