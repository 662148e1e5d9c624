package provenance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/handover"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// Neighbours are the flows that other configurations may run with the same clusters,
// as their ledgers tell that stand there.
type Neighbours struct {
	cfg            *settings.Config
	source, target *ledger.Others
	sourceConfig   kafka.Config
	targetConfig   kafka.Config
	seen           atomic.Pointer[Neighbourhood] // by the latest Look; nil: none
}

// CarriesBack says whether a flow in the opposite direction carries what began its way in a topic of the target to the
// source, as was seen last.
func (n *Neighbours) CarriesBack(target string) bool {
	_, carried := n.CarrierOf(target)
	return carried
}

// CarrierOf is the flow that CarriesBack is about.
func (n *Neighbours) CarrierOf(target string) (policy.Flow, bool) {
	v := n.seen.Load()
	if v == nil {
		return policy.Flow{}, false
	}
	return v.pair.carrierOf(target)
}

// OpenNeighbours opens what asks both clusters for their ledgers; nothing is connected yet.
func OpenNeighbours(cfg *settings.Config, source, target kafka.Config) (*Neighbours, error) {
	n := &Neighbours{cfg: cfg, sourceConfig: source, targetConfig: target}
	var err error
	if n.source, err = ledger.OpenOthers(source); err != nil {
		return nil, err
	}
	if n.target, err = ledger.OpenOthers(target); err != nil {
		n.source.Close()
		return nil, err
	}
	return n, nil
}

// Close ends the connections.
func (n *Neighbours) Close() {
	n.source.Close()
	n.target.Close()
}

// Neighbourhood is what both clusters showed at one moment.
type Neighbourhood struct {
	Source, target *ledger.Standing
	Own            ledger.Other      // this flow's ledger; zero: it is not there
	upstream       []ledger.Upstream // flows that lead to the source, by whatever way
	ways           [][]policy.Hop    // by which records of the target come to the source
	ledgers        []policy.Flow     // whose ledgers on the source have names of their own
	pair           pair
	begun          map[policy.Flow]bool
	Unread         []error // ledgers of the source that may not be read
}

// Look reads what is new in all ledgers of both clusters.
func (n *Neighbours) Look(ctx context.Context) (*Neighbourhood, error) {
	v := &Neighbourhood{begun: map[policy.Flow]bool{}}
	g, looking := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		v.target, err = n.target.Look(looking)
		return err
	})
	g.Go(func() (err error) {
		v.Source, err = n.source.Look(looking)
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	for _, l := range v.target.Ledgers {
		if l.Topic == n.cfg.LedgerTopic() {
			v.Own = l
		}
	}
	v.findUpstream(n.cfg)
	var hops []policy.Hop
	for i := range v.upstream {
		if hop, ok := n.hop(&v.upstream[i], v); ok {
			hops = append(hops, hop)
			if hop.To == n.cfg.From && !strings.HasPrefix(hop.Ledger, "__replicator") {
				v.ledgers = append(v.ledgers, hop.Flow)
			}
		}
	}
	v.ways = policy.Ways(hops, n.cfg.To, n.cfg.From)
	var err error
	if v.pair, err = v.pairOf(n.cfg); err != nil {
		return nil, err
	}
	n.seen.Store(v)
	return v, nil
}

// atWork says whether a ledger is that of a flow which carries records to the cluster
// where it stands: not a copy of one, nor one that was turned around or has given way. One
// that has not announced yet what it chooses looks once more when it has.
func atWork(l *ledger.Other, cluster string) bool {
	if l.Err != nil || l.Identity == nil || l.Identity.TargetCluster != cluster {
		return false
	}
	var d handover.Direction
	err := handover.Decode(l.Notes[handover.DirectionName], &d)
	if failedOver := d.Failover != ""; err == nil && d.Closed && !failedOver { // that one goes on, once it was failed back
		return false
	}
	return l.Begun || l.Rules != nil && !l.Rules.Withdrawn
}

// upstreamMost bounds the flows that are passed on.
const upstreamMost = 64

// findUpstream collects the flows that lead to the source: those whose ledgers stand
// there, and those that these name. What leads to the source itself is believed only
// where its ledger stands, or a flow that ended would be passed round for ever.
func (v *Neighbourhood) findUpstream(cfg *settings.Config) {
	named := []ledger.Upstream{}
	for i := range v.Source.Ledgers {
		l := &v.Source.Ledgers[i]
		if l.Err != nil {
			v.Unread = append(v.Unread, l.Err)
		}
		own := l.Topic == v.Own.Topic && v.Source.Cluster == v.target.Cluster
		if own || !atWork(l, v.Source.Cluster) {
			continue
		}
		up := ledger.Upstream{Ledger: l.Topic, LedgerID: l.ID.String(), Begun: l.Begun, Identity: *l.Identity,
			Topics: []string{".*"}}
		if l.Rules != nil {
			up.Topics, up.ExcludeTopics, up.Habits = l.Rules.Topics, l.Rules.ExcludeTopics, l.Rules.Habits
			up.SharedGroups = l.Rules.SharedGroups
			named = append(named, l.Rules.Upstream...)
		}
		v.upstream = append(v.upstream, up)
	}
	seen := map[string]bool{v.target.Cluster + "/" + cfg.LedgerTopic(): true}
	reached := map[string]bool{}
	for _, up := range v.upstream {
		reached[up.Identity.SourceCluster] = true
	}
	for again := true; again; {
		again = false
		for _, up := range named {
			key := up.Identity.TargetCluster + "/" + up.Ledger
			if seen[key] || up.Identity.TargetCluster == v.Source.Cluster || !reached[up.Identity.TargetCluster] ||
				len(v.upstream) == upstreamMost {
				continue
			}
			seen[key], reached[up.Identity.SourceCluster], again = true, true, true
			up.Identity.Changes = nil
			v.upstream = append(v.upstream, up)
		}
	}
}

// hop is a flow by the names that this configuration has for its clusters, and notes whether it has begun.
func (n *Neighbours) hop(up *ledger.Upstream, v *Neighbourhood) (policy.Hop, bool) {
	h, ok := n.named(up, v)
	v.begun[h.Flow] = up.Begun
	return h, ok
}

// named is a flow by those names.
func (n *Neighbours) named(up *ledger.Upstream, v *Neighbourhood) (policy.Hop, bool) {
	id := &up.Identity
	from, to := id.SourceCluster, id.TargetCluster // a name that nobody else has
	if from == v.target.Cluster {
		from = n.cfg.To
	}
	if to == v.Source.Cluster {
		to = n.cfg.From
	}
	if from == v.Source.Cluster && v.Source.Cluster != v.target.Cluster {
		from = n.cfg.From
	}
	h := policy.Hop{Topics: up.Topics, ExcludeTopics: up.ExcludeTopics, SharedGroups: up.SharedGroups, Flow: policy.Flow{
		From: from, To: to, SourcePrefix: id.SourcePrefix, TargetPrefix: id.TargetPrefix,
		Naming: policy.Naming(id.Naming), Separator: id.Separator,
		Ledger:     strings.TrimPrefix(up.Ledger, id.TargetPrefix),
		CalledFrom: id.From, Called: id.Flow(), Habits: up.Habits,
	}}
	if h.Separator == "" {
		h.Separator = policy.DefaultSeparator
	}
	return h, from != "" && to != ""
}

// Flows are those that the policy has to know: by the ways, what comes from the target
// under a prefix is never copied back; a ledger is never copied, whatever its name.
func (v *Neighbourhood) Flows() []policy.Flow {
	list := slices.Clone(v.ledgers)
	for _, way := range v.ways {
		if len(way) == 1 && way[0].Naming == policy.Identity {
			continue // no name tells that something came by it
		}
		for _, hop := range way {
			if !slices.Contains(list, hop.Flow) {
				list = append(list, hop.Flow)
			}
		}
	}
	return list
}

// anyTopic stands for topics that are not there yet.
const anyTopic = "any-topic"

// Conflict is why this flow may not run beside those that are there, or nil: it would close a circle that no flow of
// it leaves out, or set what the opposite flow sets. A flow that has begun does not give way to one that has not: that
// one looks as well before it begins, and will.
func (v *Neighbourhood) Conflict(cfg *settings.Config) error {
	chosen := cfg.Config
	chosen.Flows = append(slices.Clone(chosen.Flows), v.Flows()...)
	names := append(slices.Clone(v.Source.Topics), cfg.SourcePrefix+anyTopic)
	for _, name := range v.target.Topics {
		if !slices.Contains(v.Source.Topics, name) {
			names = append(names, name)
		}
	}
	for _, way := range v.ways {
		if v.Own.Begun && slices.ContainsFunc(way, func(h policy.Hop) bool { return !v.begun[h.Flow] }) {
			continue
		}
		topics, err := policy.Circles(chosen, way, names)
		if err != nil {
			return err
		}
		self := cfg.Self()
		switch covered := policy.Covered(self, way...); {
		case len(topics) == 0:
		case covered && len(way) == 1 && self.KeepsSettings && way[0].KeepsSettings:
			return &SettingsError{*cfg, way[0], topics}
		case !covered:
			return &CircleError{Flow: *cfg, Way: way, Topics: topics, Upstream: v.upstream}
		}
	}
	return nil
}

// Rules are what others are to know of this flow.
func (v *Neighbourhood) Rules(cfg *settings.Config) ledger.Rules {
	return ledger.Rules{Topics: cfg.Topics, ExcludeTopics: cfg.ExcludeTopics, SharedGroups: cfg.SharedGroups,
		Upstream: v.upstream, Habits: cfg.Self().Habits}
}

// NoteRules writes the rules to the ledger, if they are not what stands there.
func (v *Neighbourhood) NoteRules(ctx context.Context, cfg *settings.Config, target kafka.Config,
	rules ledger.Rules) error {
	text := ledger.EncodeRules(rules)
	if string(v.Own.Notes[ledger.RulesName]) == string(text) {
		return nil
	}
	return ledger.WriteNotes(ctx, target, cfg.LedgerTopic(), 0, []ledger.Record{ledger.NoteRecord(ledger.RulesName, text)})
}

// CircleError reports that what a flow writes would come back to it.
type CircleError struct {
	Flow     settings.Config
	Way      []policy.Hop // the flows of others by which it comes back, the first from this flow's target
	Topics   []string     // of the source
	Upstream []ledger.Upstream
}

func (e *CircleError) Error() string {
	what := named(e.Topics, e.Flow.SourcePrefix)
	var flows []string
	for _, h := range e.Way {
		flows = append(flows, "flow "+h.String())
	}
	last := e.Way[len(e.Way)-1]
	return fmt.Sprintf("records would go in a circle: what this flow copies to %s comes back to %s by %s (ledger topic "+
		"%s on cluster %s): %s", e.Flow.To, e.Flow.From, strings.Join(flows, ", "), last.LedgerTopic(), e.Flow.From, what)
}

// named names topics of the source that come back to it.
func named(list []string, prefix string) string {
	there := slices.DeleteFunc(slices.Clone(list), func(topic string) bool { return topic == prefix+anyTopic })
	if len(there) == 0 {
		return "any topic that all of them choose"
	}
	return "topics " + kafka.Few(there)
}

// Remedy tells what to do.
func (e *CircleError) Remedy() string {
	last := e.Way[len(e.Way)-1]
	text := "nothing is copied until that is decided. "
	if len(e.Way) == 1 {
		text += fmt.Sprintf("Are from and to of this flow exchanged, or do bootstrap.servers of %s and %s lead to each "+
			"other's cluster? Then set them right. To go back after a cutover, use 'replicator rollback' of flow %s. ",
			e.Flow.From, e.Flow.To, last.String())
	}
	self := e.Flow.Self()
	switch {
	case len(e.Way) == 1 && self.LeavesOut == policy.Nothing:
		text += "To copy both ways under the same names, " + policy.BothLeaveOut + ": this flow does not. "
	case len(e.Way) == 1 && last.LeavesOut == policy.Nothing:
		text += fmt.Sprintf("To copy both ways under the same names, %s: flow %s does not, or was started last by a "+
			"release that did not say so. ", policy.BothLeaveOut, last.String())
	case len(e.Way) > 1:
		text += "To copy round such a ring under the same names, at least two of its flows need records: local. "
	}
	return text + fmt.Sprintf("To copy both ways otherwise, choose topics that are not in both (topics, exclude_topics), "+
		"or use naming: prefix in each flow. If flow %s has ended for good: see that no daemon of it runs, then delete its "+
		"ledger topic %s on cluster %s, which holds no records of applications; what that flow wrote there is copied like "+
		"any other record then", last.String(), last.LedgerTopic(), e.Flow.From)
}

// Forbids says whether an error is that a flow may not go on beside another as things stand.
func Forbids(err error) bool { return IsConflict(err) || errors.As(err, new(*LostLedgerError)) }

// IsConflict says whether an error is that a flow may not run beside another.
func IsConflict(err error) bool {
	return errors.As(err, new(*CircleError)) || errors.As(err, new(*SettingsError))
}
