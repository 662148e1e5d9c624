// Package survey asks one cluster what a migration has to reckon with: how large
// topics are and how much room is left, who reads and writes, which transactions
// are open, and which settings, ACLs and quotas hold.
//
// The central type is [Cluster]. It guarantees:
//
//  1. it changes nothing, and commits nothing;
//  2. what the cluster does not tell is an error with its reason, beside whatever
//     it did tell: nothing is filled in, and nothing unknown is 0;
//  3. each question is bounded in time.
//
// What is read is judged by the pure functions of this package: [Judge] for
// transactions, [Missing] for ACLs, [Limit] for quotas, [Differing] for settings,
// [Spread] for room on disks. The engine puts the answers of both clusters together.
package survey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

// Cluster is one cluster to be asked. Its methods may be called from any goroutine.
type Cluster struct {
	conf   kafka.Config
	client *kgo.Client
	admin  *kadm.Client
}

// Of asks by a client that stays the caller's.
func Of(conf kafka.Config, client *kgo.Client) *Cluster {
	return &Cluster{conf: conf, client: client, admin: kadm.NewClient(client)}
}

// askLimit bounds one question: a broker that is away shows as an error.
const askLimit = 15 * time.Second

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, askLimit)
}

// why makes an answer that is missing a fact with a remedy: operation and resource
// name the right that the question needs.
func (c *Cluster) why(err error, operation, resource string) error {
	var some *kadm.ShardErrors
	if errors.As(err, &some) && len(some.Errs) > 0 {
		err = some.Errs[0].Err
	}
	switch {
	case err == nil:
		return nil
	case denied(err):
		return c.conf.Denied(operation, resource, err)
	case errors.Is(err, kerr.UnsupportedVersion):
		return &kafka.Problem{What: fmt.Sprintf("cluster %s does not know the question", c.conf.Name),
			Fix: "ask its own tools; newer brokers answer it", Err: err}
	}
	return c.conf.Explain(err)
}

func denied(err error) bool {
	return errors.Is(err, kerr.ClusterAuthorizationFailed) || errors.Is(err, kerr.TopicAuthorizationFailed) ||
		errors.Is(err, kerr.GroupAuthorizationFailed) || errors.Is(err, kerr.TransactionalIDAuthorizationFailed)
}

// topicSet is what kadm's questions about partitions take.
func topicSet(partitions []chunk.Partition) kadm.TopicsSet {
	set := kadm.TopicsSet{}
	for _, p := range partitions {
		set.Add(p.Topic, p.Number)
	}
	return set
}
