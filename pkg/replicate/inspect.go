package replicate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/offsets"
	"replicator/pkg/policy"
	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/watermarks"
)

// Inspection looks at one flow from outside: it knows what both clusters say, and
// nothing of any process that copies. It writes to neither of them. Its methods
// belong to one goroutine.
type Inspection struct {
	rooms
	cfg Config

	sourceCluster, targetCluster kafka.Config
	sourceID, targetID           string    // of the clusters
	elsewhere                    time.Time // when no other ledger held this flow's copy
	source, target               *kgo.Client
	translator                   translator
	kept                         keptBoth
	others                       *neighbours
	whose                        *whose
	around                       *neighbourhood // flows of other configurations, when the look was opened
	// settleWait is how long a look waits for a ledger partition's open transaction, which ends within
	// milliseconds unless its owner was killed in the middle of a commit.
	settleWait time.Duration
}

// reachLimit bounds the first contact, and each question about a cluster after it.
const reachLimit = 15 * time.Second

const (
	// reachTries: a broker of several may be away, a cluster that is away should show soon.
	reachTries = 3
	// lookLimit bounds one look at both clusters.
	lookLimit = 2 * time.Minute
	// usualSettleWait is settleWait, but for tests.
	usualSettleWait = 5 * time.Second
	settleEvery     = 50 * time.Millisecond
)

// Inspect opens a look at a flow and makes sure that both clusters answer, and
// that they are two. Errors have a remedy.
func Inspect(ctx context.Context, clusters map[string]kafka.Config, flow Config,
	log *slog.Logger) (*Inspection, error) {
	i := &Inspection{
		cfg: flow, sourceCluster: clusters[flow.From], targetCluster: clusters[flow.To], settleWait: usualSettleWait,
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

func (i *Inspection) open(log *slog.Logger) (err error) {
	patience := []kgo.Opt{kgo.RequestRetries(reachTries), kgo.RetryTimeout(reachLimit)}
	if i.source, err = kafka.NewFranz(i.sourceCluster, patience...); err != nil {
		return err
	}
	if i.target, err = kafka.NewFranz(i.targetCluster, patience...); err != nil {
		return err
	}
	if i.others, err = openNeighbours(&i.cfg, i.sourceCluster, i.targetCluster); err != nil {
		return err
	}
	if i.whose, err = openWhose(&i.cfg, i.others, i.targetCluster); err != nil {
		return err
	}
	return i.openRooms(log)
}

// openRooms opens what goes by the policy.
func (i *Inspection) openRooms(log *slog.Logger) (err error) {
	if i.rooms, err = openRooms(&i.cfg, i.sourceCluster, i.targetCluster, log); err != nil {
		return err
	}
	i.translator = translator{ledger: i.ledger, peek: i.peek, tails: map[chunk.Partition]tail{}}
	return nil
}

// meet looks at the flows of other configurations, some of which the policy has to know.
func (i *Inspection) meet(ctx context.Context, log *slog.Logger) (err error) {
	if i.around, err = i.others.look(ctx); err != nil {
		return err
	}
	flows := i.around.flows()
	if len(flows) == 0 {
		return nil
	}
	i.rooms.close()
	i.cfg.Flows = append(slices.Clone(i.cfg.Flows), flows...)
	return i.openRooms(log)
}

// Close ends all connections.
func (i *Inspection) Close() {
	i.rooms.close()
	if i.whose != nil {
		i.whose.close()
	}
	if i.others != nil {
		i.others.close()
	}
	for _, client := range []*kgo.Client{i.source, i.target} {
		if client != nil {
			client.Close()
		}
	}
}

// reach asks both clusters who they are.
func (i *Inspection) reach(ctx context.Context) error {
	source, err := describe(ctx, i.source, i.sourceCluster, []string{})
	if err != nil {
		return err
	}
	target, err := describe(ctx, i.target, i.targetCluster, []string{})
	if err != nil {
		return err
	}
	i.sourceID, i.targetID = source.id, target.id
	return policy.SameCluster(i.cfg.Flow(), source.id, target.id)
}

// seenCluster is a cluster as it describes itself.
type seenCluster struct {
	id      string
	brokers int
	topics  map[string]seenTopic
}

// seenTopic is a topic as its cluster describes it.
type seenTopic struct {
	id         chunk.TopicID
	partitions int
	rights     int32 // bits by Kafka's number of the operation; noRights: the cluster does not tell
	err        error
}

// noRights is what a broker answers that does not tell rights.
const noRights int32 = -1 << 31

// may says whether the right is there, or cannot be known to be missing.
func (t *seenTopic) may(operation kmsg.ACLOperation) bool {
	return t.rights == noRights || t.rights&(1<<operation) != 0
}

// describe asks a cluster for itself and for topics (nil: all that it lets us
// see), past the client's memory.
func describe(ctx context.Context, client *kgo.Client, cluster kafka.Config, names []string) (*seenCluster, error) {
	ctx, cancel := context.WithTimeout(ctx, reachLimit)
	defer cancel()
	request := kafka.MetadataRequest(names)
	request.IncludeTopicAuthorizedOperations = true
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return nil, cluster.Explain(err)
	}
	seen := &seenCluster{brokers: len(response.Brokers), topics: map[string]seenTopic{}}
	if response.ClusterID != nil {
		seen.id = *response.ClusterID
	}
	for _, topic := range response.Topics {
		err := kerr.ErrorForCode(topic.ErrorCode)
		if topic.Topic == nil || errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if errors.Is(err, kerr.TopicAuthorizationFailed) {
			err = cluster.Denied("Describe", "topic "+*topic.Topic, err)
		}
		seen.topics[*topic.Topic] = seenTopic{
			id: chunk.TopicID(topic.TopicID), partitions: len(topic.Partitions), rights: topic.AuthorizedOperations, err: err,
		}
	}
	return seen, nil
}

// markOf gives an offset as a target's; false where the cluster did not tell it.
func markOf(marks watermarks.Marks, p chunk.Partition) (offsets.Target, bool) {
	mark, ok := marks[p]
	return offsets.Target(mark.Offset), ok && mark.Err == nil
}
