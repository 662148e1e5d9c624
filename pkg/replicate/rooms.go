package replicate

import (
	"log/slog"

	"replicator/pkg/policy"
	"replicator/pkg/replicate/groups"
	"replicator/pkg/replicate/kafka"
	"replicator/pkg/replicate/ledger"
	"replicator/pkg/replicate/peek"
	"replicator/pkg/replicate/topics"
	"replicator/pkg/replicate/watermarks"
)

// rooms are what those who copy a flow and those who only look at it have in
// common: the clients that know both clusters, and the policy.
type rooms struct {
	policy                   *policy.Policy
	sourceMarks, targetMarks *watermarks.Watermarks
	groups                   *groups.Groups
	ledger                   *ledger.Reader
	peek                     *peek.Peek // at the target
}

// topicsConfig says how the flow's target topics are looked after. The batch lane
// notices by itself that a topic replaces timestamps.
func (c *Config) topicsConfig(source, target kafka.Config, chosen *policy.Policy, log *slog.Logger) topics.Config {
	lane, _ := c.LaneInUse()
	return topics.Config{
		Source: source, Target: target, Policy: chosen, Flow: c.Name(), ReplicationFactor: c.ReplicationFactor,
		SyncConfigs: c.SyncTopicConfigs, Watched: lane == LaneBatch, ExcludeConfigs: c.ExcludeConfigs, Log: log,
	}
}

// openRooms opens the clients of one flow; nothing is connected yet. After an
// error what was opened is closed again.
func openRooms(cfg *Config, source, target kafka.Config, log *slog.Logger) (r rooms, err error) {
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.policy, err = policy.New(cfg.Policy()); err != nil {
		return r, err
	}
	if r.sourceMarks, err = watermarks.Open(source); err != nil {
		return r, err
	}
	if r.targetMarks, err = watermarks.Open(target); err != nil {
		return r, err
	}
	r.groups, err = groups.Open(groups.Config{
		Source: source, Target: target, Policy: r.policy, Flow: cfg.Name(), Log: log,
	})
	if err != nil {
		return r, err
	}
	if r.ledger, err = ledger.OpenReader(target, cfg.LedgerTopic()); err != nil {
		return r, err
	}
	r.peek = peek.Open(target, log)
	return r, nil
}

// close ends what was opened, in the opposite order.
func (r *rooms) close() {
	if r.peek != nil {
		_ = r.peek.Close()
	}
	if r.ledger != nil {
		_ = r.ledger.Close()
	}
	if r.groups != nil {
		r.groups.Close()
	}
	for _, marks := range []*watermarks.Watermarks{r.targetMarks, r.sourceMarks} {
		if marks != nil {
			marks.Close()
		}
	}
}
