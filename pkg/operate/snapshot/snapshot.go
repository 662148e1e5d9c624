package snapshot

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/clients"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/listoffsets"
	"replicator/pkg/replicate/provenance"
	"replicator/pkg/replicate/settings"
	"replicator/pkg/replicate/translate"
)

// Inspection looks at one flow from outside: it knows what both clusters say, and
// nothing of any process that copies. It writes to neither of them. Its methods
// belong to one goroutine.
type Viewer struct {
	clients.Clients
	Flow settings.Config

	SourceCluster, TargetCluster kafka.Config
	SourceID, TargetID           string    // of the clusters
	elsewhere                    time.Time // when no other ledger held this flow's copy
	SourceClient, TargetClient   *kgo.Client
	Translator                   translate.Translator
	Retention                    Retention
	others                       *provenance.Neighbours
	Writers                      *provenance.Writers
	Around                       *provenance.Neighbourhood // flows of other configurations, when the look was opened
	// settleWait is how long a look waits for a ledger partition's open transaction, which ends within
	// milliseconds unless its owner was killed in the middle of a commit.
	SettleWait time.Duration
}

const (
	// reachTries: a broker of several may be away, a cluster that is away should show soon.
	reachTries = 3
	// lookLimit bounds one look at both clusters.
	LookLimit = 2 * time.Minute
	// usualSettleWait is settleWait, but for tests.
	usualSettleWait = 5 * time.Second
	settleEvery     = 50 * time.Millisecond
)

// Inspect opens a look at a flow and makes sure that both clusters answer, and
// that they are two. Errors have a remedy.
func Open(ctx context.Context, clusters map[string]kafka.Config, flow settings.Config,
	log *slog.Logger) (*Viewer, error) {
	i := &Viewer{
		Flow: flow, SourceCluster: clusters[flow.From], TargetCluster: clusters[flow.To], SettleWait: usualSettleWait,
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	err := i.open(log)
	if err == nil {
		err = i.reach(ctx)
	}
	if err == nil {
		err = i.meet(ctx, log)
	}
	if err != nil {
		i.Close()
		return nil, fmt.Errorf("flow %s: %w", flow.Name(), err)
	}
	return i, nil
}

func (i *Viewer) open(log *slog.Logger) (err error) {
	patience := []kgo.Opt{kgo.RequestRetries(reachTries), kgo.RetryTimeout(kafka.AskLimit)}
	if i.SourceClient, err = kafka.NewFranz(i.SourceCluster, patience...); err != nil {
		return err
	}
	if i.TargetClient, err = kafka.NewFranz(i.TargetCluster, patience...); err != nil {
		return err
	}
	if i.others, err = provenance.OpenNeighbours(&i.Flow, i.SourceCluster, i.TargetCluster); err != nil {
		return err
	}
	if i.Writers, err = provenance.OpenWriters(&i.Flow, i.others, i.TargetCluster); err != nil {
		return err
	}
	return i.openRooms(log)
}

// openRooms opens what goes by the policy.
func (i *Viewer) openRooms(log *slog.Logger) (err error) {
	if i.Clients, err = clients.Open(&i.Flow, i.SourceCluster, i.TargetCluster, log); err != nil {
		return err
	}
	i.Translator = translate.Translator{Ledger: i.Ledger, Peek: i.Scan, Tails: map[chunk.Partition]translate.Tail{}}
	return nil
}

// meet looks at the flows of other configurations, some of which the policy has to know.
func (i *Viewer) meet(ctx context.Context, log *slog.Logger) (err error) {
	if i.Around, err = i.others.Look(ctx); err != nil {
		return err
	}
	flows := i.Around.Flows()
	if len(flows) == 0 {
		return nil
	}
	i.Clients.Close()
	i.Flow.Flows = append(slices.Clone(i.Flow.Flows), flows...)
	return i.openRooms(log)
}

// Close ends all connections.
func (i *Viewer) Close() {
	i.Clients.Close()
	if i.Writers != nil {
		i.Writers.Close()
	}
	if i.others != nil {
		i.others.Close()
	}
	for _, client := range []*kgo.Client{i.SourceClient, i.TargetClient} {
		if client != nil {
			client.Close()
		}
	}
}

// reach asks both clusters who they are.
func (i *Viewer) reach(ctx context.Context) error {
	source, err := kafka.Describe(ctx, i.SourceClient, i.SourceCluster, []string{})
	if err != nil {
		return err
	}
	target, err := kafka.Describe(ctx, i.TargetClient, i.TargetCluster, []string{})
	if err != nil {
		return err
	}
	i.SourceID, i.TargetID = source.Id, target.Id
	return policy.SameCluster(i.Flow.Flow(), source.Id, target.Id)
}

// Flow is the name of the flow that is looked at.
func (i *Viewer) FlowName() string { return i.Flow.Name() }

// keptBoth is how long both sides keep topics, as it was told a moment ago.
type Retention struct {
	Asked          time.Time
	Source, Target map[string]listoffsets.Kept // by the names of each
}
