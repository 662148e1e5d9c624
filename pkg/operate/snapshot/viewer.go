package snapshot

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/translate"
	"replicator/pkg/replicate/wait"
)

// Viewer sees one flow from outside: it knows what both clusters say, and
// nothing of any process that copies. It writes to neither of them. Its methods
// belong to one goroutine.
type Viewer struct {
	clients.Clients                 // that ask both sides; opened again when flows of others come to be known
	Flow            settings.Config // with the flows of other configurations that the policy has to know

	SourceCluster, TargetCluster kafka.Config
	SourceID, TargetID           string      // of the clusters
	SourceClient, TargetClient   *kgo.Client // for what no other client asks; they give up soon
	Translator                   *translate.Translator
	opposites                    *translate.Opposites
	Writers                      *provenance.Writers       // who has written to the target beside this flow
	Around                       *provenance.Neighbourhood // flows of other configurations, when they were last asked for
	// SettleWait is how long a snapshot waits for a ledger partition's open transaction, which ends within
	// milliseconds unless its owner was killed in the middle of a commit.
	SettleWait time.Duration
	// Away is why the source did not answer when it was last asked; nil: it did. Only a tolerant viewer has it.
	Away error

	asks       kafka.Config // the source, for clients that only ask
	asksTarget kafka.Config // the target, for them
	tolerant   *tolerance   // of OpenTolerant; nil: both clusters have to answer
	others     *provenance.Neighbours
	elsewhere  time.Time // when no other ledger held this flow's copy
	retention  Retention // as it was asked for last
}

const (
	// reachTries: a broker of several may be away, a cluster that is away should show soon.
	reachTries = 3
	// TakeLimit bounds what one command asks of both clusters.
	TakeLimit = 2 * time.Minute
	// usualSettleWait is SettleWait, but for tests.
	usualSettleWait = 5 * time.Second
	settleEvery     = 50 * time.Millisecond
)

// Open opens a viewer of a flow and makes sure that both clusters answer, and
// that they are two. Errors have a remedy.
func Open(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config,
	log *slog.Logger) (*Viewer, error) {
	return open(ctx, clusters, flow, log, &Viewer{asks: clusters[flow.From], asksTarget: clusters[flow.To]})
}

func open(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config, log *slog.Logger,
	v *Viewer) (*Viewer, error) {
	v.Flow, v.SourceCluster, v.TargetCluster, v.SettleWait = flow, clusters[flow.From], clusters[flow.To], usualSettleWait
	if Tolerant(v) {
		v.SourceCluster.Silence, v.TargetCluster.Silence = v.asks.Silence.Heeded(), v.asksTarget.Silence.Heeded()
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	err := v.open(log)
	if err == nil {
		err = v.reach(ctx)
	}
	if err == nil && v.Away == nil {
		err = v.meet(ctx, log)
	}
	if err != nil {
		v.Close()
		return nil, fmt.Errorf("flow %s: %w", flow.Name(), err)
	}
	return v, nil
}

func (v *Viewer) open(log *slog.Logger) (err error) {
	patience := []kgo.Opt{kgo.RequestRetries(reachTries), kgo.RetryTimeout(kafka.AskLimit)}
	if v.SourceClient, err = kafka.NewFranz(v.asks, patience...); err != nil {
		return err
	}
	if v.TargetClient, err = kafka.NewFranz(v.asksTarget, patience...); err != nil {
		return err
	}
	if v.others, err = provenance.OpenNeighbours(&v.Flow, v.asks, v.asksTarget); err != nil {
		return err
	}
	if v.Writers, err = provenance.OpenWriters(&v.Flow, v.others, v.asksTarget); err != nil {
		return err
	}
	return v.openRooms(log)
}

// openRooms opens what goes by the policy.
func (v *Viewer) openRooms(log *slog.Logger) (err error) {
	if v.Clients, err = clients.Open(&v.Flow, v.asks, v.asksTarget, log); err != nil {
		return err
	}
	v.Translator = translate.New(v.Ledger, v.Scan)
	v.opposites = translate.NewOpposites(v.SourceCluster, v.SourceOffsets, v.Writers.CarrierOf)
	if v.Around != nil {
		v.Groups.Opposed(v.Around.Opposites())
	}
	return nil
}

// meet finds the flows of other configurations, some of which the policy has to know.
func (v *Viewer) meet(ctx context.Context, log *slog.Logger) (err error) {
	asking, cancel := Bounded(ctx, v)
	defer cancel()
	if v.Around, err = v.others.Look(asking); err != nil {
		if Tolerant(v) && ctx.Err() == nil {
			return nil // whoever looks again says why
		}
		return err
	}
	flows := v.Around.Flows()
	if len(flows) == 0 {
		v.Groups.Opposed(v.Around.Opposites())
		return nil
	}
	v.Clients.Close()
	v.Flow.Flows = append(slices.Clone(v.Flow.Flows), flows...)
	return v.openRooms(log)
}

// Close ends all connections.
func (v *Viewer) Close() {
	if v.opposites != nil {
		v.opposites.Close()
	}
	v.Clients.Close()
	if v.Writers != nil {
		v.Writers.Close()
	}
	if v.others != nil {
		v.others.Close()
	}
	for _, client := range []*kgo.Client{v.SourceClient, v.TargetClient} {
		if client != nil {
			client.Close()
		}
	}
}

// reach asks both clusters who they are.
func (v *Viewer) reach(ctx context.Context) error {
	if err := v.askSource(ctx); err != nil {
		return err
	}
	target, err := kafka.Describe(ctx, v.TargetClient, v.TargetCluster, []string{})
	if err != nil {
		return err
	}
	v.TargetID = target.ID
	if v.Away != nil {
		return nil
	}
	return policy.SameCluster(v.Flow.Flow, v.SourceID, v.TargetID)
}

// FlowName is the name of the flow, as old->new.
func (v *Viewer) FlowName() string { return v.Flow.Name() }

// ReadGroups reads where the groups stand on the source, and how many the source lists. It asks again while groups have
// no coordinator yet.
func (v *Viewer) ReadGroups(ctx context.Context) (held []groups.Held, listed int, err error) {
	ctx, cancel := Bounded(ctx, v)
	defer cancel()
	giveUp := time.Now().Add(kafka.AskLimit)
	waiting := func(h groups.Held) bool { return h.Err != nil && groups.NoCoordinatorYet(h.Err) }
	err = wait.Until(ctx, groups.CoordinatorEvery, func() (done bool, err error) {
		held, listed, err = v.Groups.Look(ctx)
		return !slices.ContainsFunc(held, waiting) || time.Now().After(giveUp), err
	})
	return held, listed, err
}
