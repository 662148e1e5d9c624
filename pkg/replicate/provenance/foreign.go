package provenance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/offsets"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/survey"
	"replicator/pkg/replicate/topics"
)

// Writers finds out who has written to the target what this flow has not, as far as a cluster
// tells: ledgers claim producer ids and name what they copy from; groups tell who positions
// them, and whether the topic is in use. It may be used by several goroutines.
type Writers struct {
	cfg    *settings.Config
	others *Neighbours
	target kafka.Config
	client *kgo.Client // of the target

	mu     sync.Mutex
	seen   *Neighbourhood
	ours   []claimant          // the flows whose ledgers stand on the target
	users  map[string][]string // by topic of the target: groups at work on it
	marks  map[string][]string // by topic of the target: flows that have positioned groups in it
	hidden bool                // groups cannot be seen
	until  time.Time           // all that is good until then
}

const (
	// askedAgain is how long what was found out about writers is good.
	askedAgain = 30 * time.Second
	// recentWrite is what counts as a producer that is at work.
	recentWrite = time.Hour
	// groupsLooked bounds the groups of the target that are asked for their positions.
	groupsLooked = 1000
)

// OpenWriters opens what asks the target of a flow; others stays the caller's.
func OpenWriters(cfg *settings.Config, others *Neighbours, target kafka.Config) (*Writers, error) {
	client, err := kafka.NewFranz(target)
	if err != nil {
		return nil, err
	}
	return &Writers{cfg: cfg, others: others, target: target, client: client}, nil
}

// Close ends the connections.
func (w *Writers) Close() { w.client.Close() }

// CarriesBack is that of [Neighbours].
func (w *Writers) CarriesBack(target string) bool { return w.others.CarriesBack(target) }

// CarrierOf is that of [Neighbours].
func (w *Writers) CarrierOf(target string) (policy.Flow, bool) { return w.others.CarrierOf(target) }

// Author is who wrote the record at an offset of a target partition. With Unknown the
// error says why it could not be found out.
func (w *Writers) Author(ctx context.Context, at chunk.Partition, offset offsets.Target) (Author, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.refresh(ctx); err != nil {
		return Author{Kind: Unknown, Producer: -1}, err
	}
	return w.author(ctx, at, offset)
}

// author is for who holds the lock, with what refresh has found.
func (w *Writers) author(ctx context.Context, at chunk.Partition, offset offsets.Target) (Author, error) {
	producer, found, err := w.others.target.Writer(ctx, at, int64(offset))
	if err == nil && !found {
		err = errors.New("the record is gone")
	}
	if err != nil {
		return Author{Kind: Unknown, Producer: -1}, err
	}
	return authorOf(ctx, producer, time.Now(), w.ours...)
}

// flowOf is the flow that a ledger on the target belongs to.
func (w *Writers) flowOf(l *ledger.Other) Author {
	a := Author{Kind: Another, Flow: "of " + l.Topic, Ledger: l.Topic, Producer: -1}
	if l.Identity != nil {
		a.Flow = l.Identity.Flow()
	}
	if l.Topic == w.cfg.LedgerTopic() {
		a.Kind = Own
	}
	return a
}

// Stop is why nothing is written to a target partition that holds a record of somebody
// else. What cannot be found out is left open; it is no reason to advise a deletion.
func (w *Writers) Stop(ctx context.Context, p, at chunk.Partition, offset offsets.Target) *chunk.Stop {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, kafka.AskLimit)
	defer cancel()
	who, fix := w.find(ctx, at, offset)
	return &chunk.Stop{Partition: p, Kind: chunk.StopForeign,
		Reason: fmt.Sprintf("target partition %s holds a record at offset %d that this flow did not write; %s", at, offset,
			who), Fix: fix}
}

// find says who wrote a record, and what to do. Where no ledger tells, the topic's use may.
func (w *Writers) find(ctx context.Context, at chunk.Partition, offset offsets.Target) (who, fix string) {
	from, to := w.cfg.From, w.cfg.To
	apart := "leave the topic out (exclude_topics), or copy it under another name (naming: prefix)"
	exchanged := fmt.Sprintf("see first whether from and to are exchanged, whether bootstrap.servers of %s and %s lead "+
		"where they should, and whether a cluster was renamed or the ledger topic %s deleted", from, to, w.cfg.LedgerTopic())
	unknown := func(err error) (who, fix string) {
		return fmt.Sprintf("who wrote it cannot be told: %v", err), exchanged + "; if it is right so, " + apart
	}
	if err := w.refresh(ctx); err != nil {
		return unknown(err)
	}
	author, err := w.author(ctx, at, offset)
	switch author.Kind {
	case Own:
		return "this flow wrote it before, as its ledger " + author.Ledger + " says, which has no map of it any more",
			"see whether the ledger topic was restored or changed by somebody, or the topic renamed; the records are " +
				"copies of this flow's: copy under another name (naming: prefix) to have all once more beside them"
	case Opposite, Another:
		return fmt.Sprintf("flow %s wrote it, as its ledger %s says: the topic is that flow's copy", author.Flow,
			author.Ledger), w.oneFlow(author)
	}
	if flow := w.original(at.Topic); flow != "" {
		return fmt.Sprintf("flow %s copies from this topic to %s: it is the original", flow, from),
			fmt.Sprintf("from and to look exchanged; to go back after a cutover of flow %s use 'replicator rollback'. Where "+
				"this direction is meant, %s", flow, apart)
	}
	if flows := w.marks[at.Topic]; len(flows) > 0 {
		return fmt.Sprintf("groups were positioned in this topic by flow %s", kafka.Few(flows)),
			fmt.Sprintf("was a cluster renamed, or the ledger of that flow deleted? Name the clusters as they were, so that "+
				"the flow goes on with its ledger; else %s", apart)
	}
	if author.Kind == Unknown {
		return unknown(err)
	}
	if use := w.inUse(ctx, at); use != "" {
		return fmt.Sprintf("no ledger on %s claims it, and %s", to, use), exchanged + "; if it is right so, " + apart
	}
	return fmt.Sprintf("no ledger on %s claims it", to), fmt.Sprintf("%s; then %s. Last of all, and only where you know "+
		"whose its records are and that nobody needs them, the topic may be deleted on %s: it is created again and filled",
		exchanged, apart, to)
}

// oneFlow is what to do about a target topic that another flow fills.
func (w *Writers) oneFlow(by Author) string {
	return fmt.Sprintf("one target topic is filled by one flow: leave it out of this one (exclude_topics) or of flow %s, "+
		"or use naming: prefix; if both names mean this flow, whose clusters were renamed, name them as before, or set "+
		"ledger: %s", by.Flow, strings.TrimPrefix(by.Ledger, w.cfg.TargetPrefix))
}

// fillers tells, by target name, which topics another flow fills, whether or not it has
// copied a record yet: its ledger on the target is about them.
func (w *Writers) fillers(ctx context.Context, there []topics.Mirrored) (map[string]Author, error) {
	standing, err := w.others.target.Look(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	others := map[string]Author{} // by ledger
	seen := w.others.seen.Load()
	for i := range standing.Ledgers {
		l := &standing.Ledgers[i]
		if seen != nil && seen.besides(w.cfg, l) {
			continue
		}
		if by := w.flowOf(l); by.Kind != Own && atWork(l, standing.Cluster) && l.Begun {
			others[l.Topic] = by
			names = append(names, l.Topic)
		}
	}
	fills, err := w.others.target.Fills(ctx, names)
	if err != nil {
		return nil, w.target.Explain(err)
	}
	by := map[string]Author{}
	for _, name := range names {
		for _, t := range there {
			if t.TargetID != (chunk.TopicID{}) && fills[name][t.TargetID] {
				by[t.Target] = others[name]
			}
		}
	}
	return by, nil
}

// Taken tells, by target name, why the flow leaves topics to the flows that fill them.
func (w *Writers) Taken(ctx context.Context, there []topics.Mirrored) (map[string]*chunk.Stop, error) {
	filled, err := w.fillers(ctx, there)
	if err != nil {
		return nil, err
	}
	stops := map[string]*chunk.Stop{}
	for _, t := range there {
		if by, taken := filled[t.Target]; taken {
			stops[t.Target] = &chunk.Stop{Partition: chunk.Partition{Topic: t.Source}, Kind: chunk.StopTaken,
				Reason: fmt.Sprintf("flow %s fills topic %s of cluster %s, as its ledger %s says", by.Flow, t.Target, w.cfg.To,
					by.Ledger), Fix: w.oneFlow(by)}
		}
	}
	return stops, nil
}

// refresh looks at ledgers and groups, unless that was done a moment ago.
func (w *Writers) refresh(ctx context.Context) (err error) {
	if time.Now().Before(w.until) {
		return nil
	}
	if w.seen, err = w.others.Look(ctx); err != nil {
		return err
	}
	w.ours = nil
	for i := range w.seen.target.Ledgers {
		l := &w.seen.target.Ledgers[i]
		if l.Identity != nil && l.Identity.TargetCluster != w.seen.target.Cluster {
			continue // a copy of a ledger: what it claims was written elsewhere
		}
		c := claimant{author: w.flowOf(l), err: l.Err}
		if l.Err == nil {
			c.claims = ledger.NewClaims(w.client, w.target, l.Topic)
		}
		w.ours = append(w.ours, c)
	}
	w.users, w.marks = map[string][]string{}, map[string][]string{}
	w.hidden = w.lookAtGroups(ctx) != nil
	w.until = time.Now().Add(askedAgain)
	return nil
}

// original is the flow that copies from a topic of the target to the source; "": none is
// known.
func (w *Writers) original(topic string) string {
	for i := range w.seen.Source.Ledgers {
		l := &w.seen.Source.Ledgers[i]
		id := l.Identity
		if !atWork(l, w.seen.Source.Cluster) || id.SourceCluster != w.seen.target.Cluster ||
			w.seen.Source.Cluster == w.seen.target.Cluster {
			continue
		}
		chosen := policy.Config{Topics: []string{".*"}, Flow: policy.Flow{From: id.From, To: id.To, Separator: id.Separator,
			SourcePrefix: id.SourcePrefix, TargetPrefix: id.TargetPrefix, Naming: policy.Naming(id.Naming)}}
		if l.Rules != nil {
			chosen.Topics, chosen.ExcludeTopics = l.Rules.Topics, l.Rules.ExcludeTopics
		}
		if p, err := policy.New(chosen); err == nil {
			if _, verdict := p.Topic(topic); verdict.Selected {
				return id.Flow()
			}
		}
	}
	return ""
}

// lookAtGroups finds the groups of the target that are at work, and the flows that have
// positioned groups there.
func (w *Writers) lookAtGroups(ctx context.Context) error {
	admin := kadm.NewClient(w.client)
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		return err
	}
	names := listed.Groups()
	if len(names) > groupsLooked {
		return errors.New("too many groups")
	}
	described, err := admin.DescribeGroups(ctx, names...)
	if err != nil {
		return err
	}
	for _, g := range described.Sorted() {
		for topic := range g.AssignedPartitions() {
			w.users[topic] = append(w.users[topic], fmt.Sprintf("group %s (%d members)", g.Group, len(g.Members)))
		}
	}
	for _, answer := range admin.FetchManyOffsets(ctx, names...) {
		answer.Fetched.Each(func(o kadm.OffsetResponse) {
			mark, ours := groups.ParseMark(o.Metadata)
			if ours && mark.Flow != w.cfg.Name() && !slices.Contains(w.marks[o.Topic], mark.Flow) {
				w.marks[o.Topic] = append(w.marks[o.Topic], mark.Flow)
			}
		})
	}
	return nil
}

// inUse says who uses a topic on the target now, or that this cannot be told; "": nobody does.
func (w *Writers) inUse(ctx context.Context, at chunk.Partition) string {
	if users := w.users[at.Topic]; len(users) > 0 {
		return "the topic is in use there: " + kafka.Few(users)
	}
	if w.hidden {
		return "whether groups use the topic there cannot be seen"
	}
	partitions := w.partitions(ctx, at.Topic)
	if len(partitions) == 0 {
		return "whether producers use the topic there cannot be seen"
	}
	producers, err := survey.Of(w.target, w.client).Producers(ctx, partitions)
	for _, p := range producers {
		if time.Since(p.Last) < recentWrite {
			return fmt.Sprintf("the topic is in use there: producer %d wrote to it within the last hour", p.ID)
		}
	}
	if err != nil {
		return "whether producers use the topic there cannot be seen"
	}
	return ""
}

// partitions lists those of a topic of the target.
func (w *Writers) partitions(ctx context.Context, topic string) (list []chunk.Partition) {
	seen, err := kafka.Describe(ctx, w.client, w.target, []string{topic})
	if err != nil {
		return nil
	}
	for n := range seen.Topics[topic].Partitions {
		list = append(list, chunk.Partition{Topic: topic, Number: int32(n)})
	}
	return list
}
