package provenance

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/settings"
)

// SourceWriters tells of records of the source whether they are left out, by who wrote them there: the flow in the
// opposite direction, which took them from the target, or with `records: local` any flow. Which flows there are the
// ledgers on the source tell. It may be used by several goroutines.
//
// What the opposite flow brought is left out only while the target still has it: what that flow copied from a topic
// which was deleted on the target since is carried back, into the one that has its name now.
type SourceWriters struct {
	cfg            *settings.Config
	source, target kafka.Config
	others         *ledger.Others // of the source
	client         *kgo.Client    // of the source
	lives          *lives

	turn chan struct{} // holds a token while somebody looks for ledgers, with targetID
	// targetID is the target's cluster id; "": not asked yet.
	targetID string

	mu        sync.Mutex
	looked    time.Time // all ledgers are known that stood on the source then
	flows     map[string]*sourceFlow
	strangers map[int64]bool // transactional producers that no flow claims
}

// sourceFlow is a flow that writes, or wrote, to the source.
type sourceFlow struct {
	author Author
	id     ledger.Identity
	claims *ledger.Claims
}

// AskedOppositeLedger is the ledger on the source of the flow in the opposite direction that the configuration holds
// as well, if this flow leaves out what that one wrote; else "".
func AskedOppositeLedger(cfg *settings.Config) string {
	if cfg.Self().LeavesOut == policy.Nothing {
		return ""
	}
	return cfg.OppositeLedger()
}

// OpenSourceWriters opens the question; nil where the flow leaves out nothing, since it does not see who wrote a
// record.
func OpenSourceWriters(cfg *settings.Config, source, target kafka.Config) (*SourceWriters, error) {
	if cfg.Self().LeavesOut == policy.Nothing {
		return nil, nil
	}
	others, err := ledger.OpenOthers(source)
	if err != nil {
		return nil, err
	}
	w := &SourceWriters{cfg: cfg, source: source, target: target, others: others, turn: make(chan struct{}, 1)}
	if w.client, err = kafka.NewFranz(source); err != nil {
		others.Close()
		return nil, err
	}
	if w.lives, err = openLives(source); err != nil {
		others.Close()
		w.client.Close()
		return nil, err
	}
	w.Forget()
	return w, nil
}

// Close ends the connections.
func (w *SourceWriters) Close() {
	w.lives.close()
	w.others.Close()
	w.client.Close()
}

// Forget has everything asked again: producer ids are those of one life of a cluster.
func (w *SourceWriters) Forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked, w.flows, w.strangers = time.Time{}, map[string]*sourceFlow{}, map[int64]bool{}
	w.lives.forget()
}

// LeftOut says whether a record of the source is left out, of a topic that goes to another one. For writers that it
// knows it answers without a question to the cluster. Errors: *ledger.UnknownClaimsError.
func (w *SourceWriters) LeftOut(ctx context.Context, r chunk.Written, topics Topics) (bool, error) {
	if r.Producer < 0 {
		return false, nil
	}
	for {
		flows, stranger, upToDate := w.known(r)
		if stranger {
			return false, nil
		}
		v, err := w.judge(ctx, flows, r, topics)
		switch {
		case err != nil || v == leftOut || v == carried:
			return v == leftOut, err
		case upToDate:
			if v == nobodys {
				w.estrange(r)
			}
			return false, nil
		}
		if err := w.look(ctx, r.Seen); err != nil {
			return false, err
		}
	}
}

// Brings says whether a flow that is left out has claimed a producer id, of which something was seen at that time.
func (w *SourceWriters) Brings(ctx context.Context, producer int64, seen time.Time) (bool, error) {
	if producer < 0 {
		return false, nil
	}
	if err := w.look(ctx, seen); err != nil {
		return false, err
	}
	flows, _, _ := w.known(chunk.Written{Producer: producer, Seen: seen})
	for _, f := range flows {
		if f.author.Kind != Opposite && w.cfg.Self().LeavesOut != policy.WhatFlowsWrote {
			continue
		}
		if claimed, err := f.claims.Claimed(ctx, producer, seen); claimed || err != nil {
			return claimed, err
		}
	}
	return false, nil
}

// Opposite is the flow in the opposite direction whose ledger stands on the source; "": there is none.
func (w *SourceWriters) Opposite(ctx context.Context) (string, error) {
	if err := w.look(ctx, time.Now()); err != nil {
		return "", err
	}
	flows, _, _ := w.known(chunk.Written{})
	for _, f := range flows {
		if f.author.Kind == Opposite {
			return f.author.Flow, nil
		}
	}
	return "", nil
}

// judgement is what the flows that are known come to, about one record.
type judgement int

const (
	nobodys   judgement = iota // none claims it
	elsewhere                  // who claims it knows nothing of the partition: flows of one name have one producer id
	carried                    // a flow wrote it that is not left out, or what it copied is not on the target any more
	leftOut
)

// judge asks all flows that claim a record.
func (w *SourceWriters) judge(ctx context.Context, flows []*sourceFlow, r chunk.Written, topics Topics) (judgement,
	error) {
	all := nobodys
	for _, f := range flows {
		claimed, err := f.claims.Claimed(ctx, r.Producer, r.Seen)
		if err != nil {
			return nobodys, err
		}
		if !claimed {
			continue
		}
		one, err := w.judgeBy(ctx, f, r, topics)
		if err != nil || one == leftOut {
			return one, err
		}
		all = max(all, one)
	}
	return all, nil
}

// judgeBy is what becomes of a record that a flow claims.
func (w *SourceWriters) judgeBy(ctx context.Context, f *sourceFlow, r chunk.Written, topics Topics) (judgement, error) {
	identity := f.id.Naming == string(policy.Identity) && w.cfg.Naming == policy.Identity
	switch {
	case f.author.Kind != Opposite && w.cfg.Self().LeavesOut != policy.WhatFlowsWrote:
		return carried, nil
	case f.author.Kind != Opposite:
		return leftOut, nil
	case !identity:
		return leftOut, nil // by another name it is not in the topic that it would go to
	}
	return w.lives.judge(ctx, f, r, topics)
}

// known is which flows there are, and whether that is all there is to know about the writer of a record. Flows that are
// left out by who they are write in transactions: without one the ledgers that were seen before will do.
func (w *SourceWriters) known(r chunk.Written) (flows []*sourceFlow, stranger, upToDate bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.strangers[r.Producer] {
		return nil, true, true
	}
	for _, f := range w.flows {
		flows = append(flows, f)
	}
	return flows, false, w.looked.After(r.Seen) || !r.Transactional && !w.looked.IsZero()
}

// mostStrangers bounds the writers that are remembered; one that is forgotten costs a look.
const mostStrangers = 100_000

// estrange remembers that no flow claims the writer of a record: what claims it would have done so before.
func (w *SourceWriters) estrange(r chunk.Written) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !r.Transactional {
		return
	}
	if len(w.strangers) >= mostStrangers {
		clear(w.strangers)
	}
	w.strangers[r.Producer] = true
}

// look finds the ledgers on the source, unless somebody else has done so after what was seen.
func (w *SourceWriters) look(ctx context.Context, seen time.Time) error {
	select {
	case w.turn <- struct{}{}:
		defer func() { <-w.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	done := w.looked.After(seen)
	w.mu.Unlock()
	if done {
		return nil
	}
	begun := time.Now()
	standing, err := w.lookAtBoth(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		err = w.unread(standing)
	}
	if err != nil {
		return &ledger.UnknownClaimsError{Ledger: w.cfg.OppositeLedger(), Cluster: w.source.Name, Err: err,
			Denied: errors.Is(err, kerr.TopicAuthorizationFailed)}
	}
	w.looked = begun
	for i := range standing.Ledgers {
		w.add(&standing.Ledgers[i], standing.Cluster)
	}
	return nil
}

// unread is why it is not known which flows write to the source: a topic that may be a ledger did not answer. One that
// may not be read, and is not named by the configuration, counts as none: the flow warns of it. It is for who holds the
// lock.
func (w *SourceWriters) unread(standing *ledger.Standing) error {
	for i := range standing.Ledgers {
		l := &standing.Ledgers[i]
		denied := errors.Is(l.Err, kerr.TopicAuthorizationFailed) && l.Topic != AskedOppositeLedger(w.cfg)
		if known := w.flows[l.Topic+"/"+l.ID.String()] != nil; l.Err != nil && !denied && !known {
			return l.Err
		}
	}
	return standing.Silent
}

// lookAtBoth finds the source's ledgers, and who the target is.
func (w *SourceWriters) lookAtBoth(ctx context.Context) (*ledger.Standing, error) {
	if w.targetID == "" {
		seen, err := kafka.DescribeAll(ctx, w.target)
		if err != nil {
			return nil, err
		}
		w.targetID = seen.ID
	}
	standing, err := w.others.Look(ctx)
	name := AskedOppositeLedger(w.cfg)
	listed := func(l ledger.Other) bool { return l.Topic == name }
	if err != nil || name == "" || slices.ContainsFunc(standing.Ledgers, listed) {
		return standing, err
	}
	seen, err := kafka.Describe(ctx, w.client, w.source, []string{name}) // by name: what may not be seen is not listed
	if err != nil {
		return nil, err
	}
	if topic, there := seen.Topics[name]; there && topic.Err != nil {
		standing.Ledgers = append(standing.Ledgers, ledger.Other{Topic: name, Err: topic.Err})
	}
	return standing, nil
}

// add takes up a ledger that was found, for who holds the lock.
func (w *SourceWriters) add(l *ledger.Other, source string) {
	key := l.Topic + "/" + l.ID.String()
	if w.flows[key] != nil {
		return
	}
	if l.Identity == nil || l.Identity.TargetCluster != source {
		return // a copy of a ledger, or one that has claimed nothing
	}
	kind := Another
	if isOpposite(l, source, w.targetID) {
		kind = Opposite
	} else if w.cfg.Self().LeavesOut != policy.WhatFlowsWrote {
		return // what it brings is carried on, whoever it is
	}
	w.flows[key] = &sourceFlow{id: *l.Identity, claims: ledger.NewClaims(w.client, w.source, l.Topic),
		author: Author{Kind: kind, Flow: l.Identity.Flow(), Ledger: l.Topic, Producer: -1}}
}
