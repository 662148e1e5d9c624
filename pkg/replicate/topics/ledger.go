package topics

import (
	"context"
	"fmt"
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
	found, err := t.ledger(ctx, name)
	if err != nil {
		return false, 0, err
	}
	if found == nil {
		if created, err = t.createLedger(ctx, name, partitions); err != nil {
			return false, 0, err
		}
	}
	seen, err := t.target.visible(ctx, map[string]int{name: 1})
	if err != nil {
		return created, 0, err
	}
	found = seen[name]
	if found == nil || found.Err != nil || found.Leaders < found.Partitions {
		return created, 0, t.ledgerProblem(name, "no leader for each partition", "look at the brokers of cluster "+
			t.cfg.Target.Name+": not all of them run, or they have not taken the topic up yet", nil)
	}
	return created, found.Partitions, t.mendLedger(ctx, name, found)
}

// ledger describes the topic; nil if it is not there.
func (t *Topics) ledger(ctx context.Context, name string) (*side, error) {
	seen, err := t.target.describe(ctx, []string{name})
	if err != nil {
		return nil, err
	}
	found := seen[name]
	if found == nil || found.Err == nil {
		return found, nil
	}
	if denied(found.Err) {
		return nil, t.cfg.Target.Denied("Describe", "topic "+name, found.Err)
	}
	return nil, t.ledgerProblem(name, "cannot be described", "look at the brokers' logs", found.Err)
}

func (t *Topics) createLedger(ctx context.Context, name string, partitions int) (bool, error) {
	_, brokers, err := t.target.about(ctx)
	if err != nil {
		return false, err
	}
	spec := creation{Name: name, Partitions: partitions, Settings: maps.Clone(ledgerSettings),
		ReplicationFactor: replicationFactor(t.cfg.ReplicationFactor, ledgerReplicas, brokers)}
	answers, err := t.target.create(ctx, []creation{spec}, forReal)
	if err != nil {
		return false, err
	}
	if refusal := answers[name]; is(refusal, kerr.InvalidConfig, kerr.PolicyViolation) {
		t.log.Warn("ledger topic is created with fewer settings, which makes take-overs slower", "topic", name,
			"refused", refusal)
		spec.Settings = map[string]string{cleanupPolicy: ledgerSettings[cleanupPolicy]}
		if answers, err = t.target.create(ctx, []creation{spec}, forReal); err != nil {
			return false, err
		}
	}
	switch err := answers[name]; {
	case err == nil:
		t.log.Info("ledger topic created", "topic", name, "partitions", partitions,
			"replication_factor", spec.ReplicationFactor)
		return true, nil
	case is(err, kerr.TopicAlreadyExists): // another replica was quicker
		return false, nil
	default:
		c := &Change{Mirrored: Mirrored{Target: name}, PartitionsTo: partitions, ReplicationFactor: spec.ReplicationFactor}
		stop := refused(c, t.cfg.Target, creating, err)
		if denied(err) {
			stop.Fix += " (the shards), compacted and without retention"
		}
		return false, t.ledgerStopped(name, stop)
	}
}

// mendLedger sees to the settings that an existing ledger cannot do without.
func (t *Topics) mendLedger(ctx context.Context, name string, found *side) error {
	if found.Rights != nil && !found.Rights[kmsg.ACLOperationWrite] {
		return t.cfg.Target.Denied("Write", "topic "+name, nil)
	}
	if found.Rights != nil && !found.Rights[kmsg.ACLOperationRead] {
		return t.cfg.Target.Denied("Read", "topic "+name, nil)
	}
	if err := t.target.settings(ctx, map[string]*side{name: found}); err != nil {
		return err
	}
	if denied(found.SettingsErr) && !t.cfg.SyncConfigs {
		t.log.Warn("whether the ledger topic is compacted cannot be asked", "topic", name, "cluster", t.cfg.Target.Name,
			"remedy", "see to it that its cleanup.policy is compact alone, or it will lose what the flow knows")
		return nil
	}
	if denied(found.SettingsErr) {
		return t.cfg.Target.Denied("DescribeConfigs", "topic "+name, found.SettingsErr)
	}
	if found.SettingsErr != nil {
		return t.ledgerProblem(name, "its settings cannot be read", "look at the brokers' logs", found.SettingsErr)
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
	answers, err := t.target.alter(ctx, map[string]map[string]string{name: set}, forReal)
	if err != nil {
		return err
	}
	if err := answers[name]; err != nil {
		c := &Change{Mirrored: Mirrored{Target: name}}
		return t.ledgerStopped(name, refused(c, t.cfg.Target, altering, err))
	}
	t.log.Info("ledger topic altered", "topic", name, "set", set, "was", was)
	return nil
}

func (t *Topics) ledgerStopped(name string, s *chunk.Stop) error {
	return t.ledgerProblem(name, s.Reason, s.Fix, s.Err)
}

func (t *Topics) ledgerProblem(name, what, fix string, err error) error {
	return &kafka.Problem{What: fmt.Sprintf("ledger topic %s: %s", name, what), Fix: fix, Err: err}
}
