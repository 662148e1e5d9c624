package topics

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"replicator/pkg/replicate/chunk"
	"replicator/pkg/replicate/kafka"
)

const (
	// ledgerReplicas is the replication factor of a ledger where none is configured.
	ledgerReplicas = 3

	// ledgerMaxMessageBytes leaves room for what a shard may have to note at once;
	// hosted clusters often take no more. It can do with Kafka's default.
	ledgerMaxMessageBytes = "8388608"
)

// ledgerSettings are what a new ledger topic gets. A shard's taker reads its
// partition whole, so that small segments and eager cleaning keep the take-over
// short; a deletion stays visible for a day to whoever reads meanwhile.
var ledgerSettings = map[string]string{
	cleanupPolicy:               "compact",
	maxMessageBytes:             ledgerMaxMessageBytes,
	"segment.bytes":             "33554432",
	"min.cleanable.dirty.ratio": "0.2",
	"max.compaction.lag.ms":     "3600000",
	"min.compaction.lag.ms":     "0",
	"delete.retention.ms":       "86400000",
	timestampType:               createTime,
}

// ledgerNeeds are the settings without which a ledger loses its contents or
// refuses records; an existing ledger is given these, and keeps all else.
var ledgerNeeds = map[string]string{
	cleanupPolicy:   "compact",
	maxMessageBytes: strconv.Itoa(leastMaxMessageBytes),
}

// EnsureLedger creates the ledger topic on the target if it is not there, and
// waits until all its partitions have a leader. It tells how many partitions the
// topic has: the number of a ledger is never changed. It may be called by several
// replicas at once; created is true for one of them.
func (t *Topics) EnsureLedger(ctx context.Context, name string, partitions int) (
	created bool, partitionsFound int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &ledgerTopic{name: name, target: t.target, log: t.log, replicationFactor: t.cfg.ReplicationFactor,
		syncConfigs: t.cfg.SyncConfigs}
	return l.ensure(ctx, partitions)
}

// ledgerTopic is a flow's ledger topic on the target.
type ledgerTopic struct {
	name              string
	target            *cluster
	log               *slog.Logger
	replicationFactor int  // that is configured; 0: none
	syncConfigs       bool // settings may be asked for
}

func (l *ledgerTopic) ensure(ctx context.Context, partitions int) (created bool, partitionsFound int, err error) {
	found, err := l.describe(ctx)
	if err != nil {
		return false, 0, err
	}
	if found == nil {
		if created, err = l.create(ctx, partitions); err != nil {
			return false, 0, err
		}
	}
	seen, err := l.target.visible(ctx, map[string]int{l.name: 1})
	if err != nil {
		return created, 0, err
	}
	found = seen[l.name]
	if found == nil || found.Err != nil || found.Leaders < found.Partitions {
		return created, 0, l.problem("no leader for each partition", "look at the brokers of cluster "+
			l.target.conf.Name+": not all of them run, or they have not taken the topic up yet", nil)
	}
	return created, found.Partitions, l.mend(ctx, found)
}

// describe answers nil if the topic is not there.
func (l *ledgerTopic) describe(ctx context.Context) (*side, error) {
	seen, err := l.target.describe(ctx, []string{l.name})
	if err != nil {
		return nil, err
	}
	found := seen[l.name]
	if found == nil || found.Err == nil {
		return found, nil
	}
	if denied(found.Err) {
		return nil, l.target.conf.Denied("Describe", "topic "+l.name, found.Err)
	}
	return nil, l.problem("cannot be described", "look at the brokers' logs", found.Err)
}

func (l *ledgerTopic) create(ctx context.Context, partitions int) (bool, error) {
	_, brokers, err := l.target.about(ctx)
	if err != nil {
		return false, err
	}
	spec := creation{Name: l.name, Partitions: partitions, Settings: maps.Clone(ledgerSettings),
		ReplicationFactor: replicationFactor(l.replicationFactor, ledgerReplicas, brokers)}
	answers, err := l.target.create(ctx, []creation{spec}, forReal)
	if err != nil {
		return false, err
	}
	if refusal := answers[l.name]; is(refusal, kerr.InvalidConfig, kerr.PolicyViolation) {
		l.log.Warn("ledger topic is created with fewer settings, which makes take-overs slower", "topic", l.name,
			"refused", refusal)
		spec.Settings = map[string]string{cleanupPolicy: ledgerSettings[cleanupPolicy]}
		if answers, err = l.target.create(ctx, []creation{spec}, forReal); err != nil {
			return false, err
		}
	}
	switch err := answers[l.name]; {
	case err == nil:
		l.log.Info("ledger topic created", "topic", l.name, "partitions", partitions,
			"replication_factor", spec.ReplicationFactor)
		return true, nil
	case is(err, kerr.TopicAlreadyExists): // another replica was quicker
		return false, nil
	default:
		c := &Change{Mirrored: Mirrored{Target: l.name}, PartitionsTo: partitions, ReplicationFactor: spec.ReplicationFactor}
		stop := refused(c, l.target.conf, creating, err)
		if denied(err) {
			stop.Fix += " (the shards), compacted and without retention"
		}
		return false, l.stopped(stop)
	}
}

// mend sees to the settings that an existing ledger cannot do without.
func (l *ledgerTopic) mend(ctx context.Context, found *side) error {
	if found.Rights != nil && !found.Rights[kmsg.ACLOperationWrite] {
		return l.target.conf.Denied("Write", "topic "+l.name, nil)
	}
	if found.Rights != nil && !found.Rights[kmsg.ACLOperationRead] {
		return l.target.conf.Denied("Read", "topic "+l.name, nil)
	}
	if err := l.target.settings(ctx, map[string]*side{l.name: found}); err != nil {
		return err
	}
	if denied(found.SettingsErr) && !l.syncConfigs {
		l.log.Warn("whether the ledger topic is compacted cannot be asked", "topic", l.name, "cluster", l.target.conf.Name,
			"remedy", "see to it that its cleanup.policy is compact alone, or it will lose what the flow knows")
		return nil
	}
	if denied(found.SettingsErr) {
		return l.target.conf.Denied("DescribeConfigs", "topic "+l.name, found.SettingsErr)
	}
	if found.SettingsErr != nil {
		return l.problem("its settings cannot be read", "look at the brokers' logs", found.SettingsErr)
	}
	all, was, _ := difference(found.Settings, ledgerNeeds)
	set := make(map[string]string)
	for key := range ledgerNeeds {
		if value, differs := all[key]; differs {
			set[key] = value
		}
	}
	if len(set) == 0 {
		return nil
	}
	answers, err := l.target.alter(ctx, map[string]map[string]string{l.name: set}, forReal)
	if err != nil {
		return err
	}
	if err := answers[l.name]; err != nil {
		c := &Change{Mirrored: Mirrored{Target: l.name}}
		return l.stopped(refused(c, l.target.conf, altering, err))
	}
	l.log.Info("ledger topic altered", "topic", l.name, "set", set, "was", was)
	return nil
}

func (l *ledgerTopic) stopped(s *chunk.Stop) error {
	return l.problem(s.Reason, s.Fix, s.Err)
}

func (l *ledgerTopic) problem(what, fix string, err error) error {
	return &kafka.Problem{What: fmt.Sprintf("ledger topic %s: %s", l.name, what), Fix: fix, Err: err}
}
